// SPDX-License-Identifier: Apache-2.0
#include "transport/file/file_mechanism.hpp"

#include <array>
#include <climits>
#include <fcntl.h>
#include <unistd.h>

#include "os/names.hpp"
#include "os/socket.hpp"
#include "transport/file/file_meeting.hpp"
#include "transport/mechanism.hpp"
#include "transport/parameters.hpp"

namespace bulkhead::transport {
namespace file {
namespace {

bool sends(Direction direction) noexcept { return direction != Direction::receive; }
bool receives(Direction direction) noexcept { return direction != Direction::send; }

ReadOptions reading(const ChannelOptions& options) {
  ReadOptions read;
  read.max_message_bytes = options.max_message_bytes;
  return read;
}

Result<Fd> nameless_log() {
  Fd file = BULKHEAD_TRY(os::open_nameless());
  BULKHEAD_TRY(os::write_at(file, 0, SegmentHeader::create(1).bytes(), "nameless log"));
  return file;
}

Result<std::unique_ptr<Link>> make_end(Fd out, Fd in, Fd life, const ChannelOptions& options) {
  Parts parts;
  if (sends(options.direction)) {
    parts.out.emplace(BULKHEAD_TRY(LogWriter::on(std::move(out), {})));
  }
  if (receives(options.direction)) {
    parts.in_file = BULKHEAD_TRY(Fd::duplicate(in));
    parts.in.emplace(BULKHEAD_TRY(LogReader::on(std::move(in), reading(options))));
  }
  parts.life = std::move(life);
  return BULKHEAD_TRY(FileLink::create(std::move(parts), options));
}

Result<LinkPair> make_pair(const ChannelOptions& options) {
  auto [one, other] = BULKHEAD_TRY(os::socket_pair());
  Fd forth = BULKHEAD_TRY(nameless_log());
  Fd back = BULKHEAD_TRY(nameless_log());
  Fd forth_too = BULKHEAD_TRY(Fd::duplicate(forth));
  Fd back_too = BULKHEAD_TRY(Fd::duplicate(back));
  ChannelOptions turned = options;
  turned.direction = opposite(options.direction);
  auto first = BULKHEAD_TRY(make_end(std::move(forth), std::move(back), std::move(one), options));
  auto second =
      BULKHEAD_TRY(make_end(std::move(back_too), std::move(forth_too), std::move(other), turned));
  return LinkPair{std::move(first), std::move(second)};
}

Result<std::unique_ptr<Link>> adopt(Handle handle, const ChannelOptions& options) {
  auto invalid = [] {
    return fail(ErrorKind::invalid, {.operation = "adopt",
                                     .object = "descriptor",
                                     .cause = "it is not the end of a pair of logs"});
  };
  if (!handle.fd()) return invalid();
  auto parts = os::unwrap_descriptors(std::move(handle).take_fd(), 3);
  if (!parts) return invalid();
  auto end =
      make_end(std::move((*parts)[0]), std::move((*parts)[1]), std::move((*parts)[2]), options);
  if (!end && end.error() != ErrorKind::exhausted) return invalid();
  return end;
}

Result<std::unique_ptr<Link>> connect(const std::string& name, Deadline,
                                      const ChannelOptions& options) {
  Place place = BULKHEAD_TRY(read_place(name, options));
  if (options.direction == Direction::both) return connect_both_ways(std::move(place), options);
  Parts parts;
  parts.follow = place.follow;
  parts.look = place.look;
  if (options.direction == Direction::send) {
    parts.out.emplace(BULKHEAD_TRY(LogWriter::open(place.folder, place.writing)));
  } else {
    BULKHEAD_TRY(os::make_folder(place.folder));
    parts.in_folder = place.folder;
    parts.in.emplace(BULKHEAD_TRY(LogReader::open(place.folder, place.reading)));
  }
  return BULKHEAD_TRY(FileLink::create(std::move(parts), options));
}

Result<std::unique_ptr<Acceptor>> listen(const std::string& name, const ChannelOptions& options,
                                         bool) {
  Place place = BULKHEAD_TRY(read_place(name, options));
  if (options.direction == Direction::both) return listen_both_ways(std::move(place), options);
  return fail(ErrorKind::unsupported,
              {.cause = "a log one way has no listener: writer and readers come in any order",
               .remedy = "connect with direction send or receive"});
}

}  // namespace

Result<void> check_path(const std::string& path) {
  const char* cause = nullptr;
  if (!path.starts_with('/')) {
    cause = "the path does not begin with a slash";
  } else if (path.size() + 40 > PATH_MAX || path.size() - path.rfind('/') > 200) {
    cause = "the path is too long";
  } else if (path.ends_with('/')) {
    cause = "the path has no last part";
  } else if (path.find('\0') != std::string::npos) {
    cause = "the path contains a zero byte";
  } else if ((path + "/").find("/../") != std::string::npos) {
    cause = "the path contains two dots";
  }
  if (cause == nullptr) return {};
  return fail(ErrorKind::invalid, {.operation = "read address",
                                   .object = path.substr(0, 120),
                                   .cause = cause,
                                   .remedy = "write it like file:///var/log/events"});
}

Result<Place> read_place(const std::string& name, const ChannelOptions& options) {
  Place place;
  place.folder = name;
  auto parameters = BULKHEAD_TRY(Parameters::cut_from(place.folder));
  BULKHEAD_TRY(check_path(place.folder));
  place.reading.max_message_bytes = options.max_message_bytes;
  if (const auto cursor = parameters.text("cursor")) {
    BULKHEAD_TRY(os::check_name(*cursor, 64));
    place.reading.cursor = *cursor;
  }
  const bool both = options.direction == Direction::both;
  if (both && place.reading.cursor.empty()) place.reading.cursor = "peer";
  if (both && BULKHEAD_TRY(parameters.one_of("seat", {"connect", "listen"})) == 1u) {
    place.end = Place::End::listens;
  }
  place.reading.from_end = BULKHEAD_TRY(parameters.one_of("from", {"oldest", "end"})) == 1u;
  place.follow = BULKHEAD_TRY(parameters.one_of("follow", {"no", "yes"})) == 1u;
  if (const auto sync = BULKHEAD_TRY(parameters.one_of("sync", {"none", "interval", "each"}))) {
    place.writing.sync = static_cast<Sync>(*sync);
    place.reading.durable = *sync == 0 ? os::Durable::no : os::Durable::yes;
  }
  place.writing.interval =
      BULKHEAD_TRY(parameters.duration("interval")).value_or(place.writing.interval);
  place.writing.segment_bytes = BULKHEAD_TRY(parameters.number("segment", 4096, 1ULL << 40))
                                    .value_or(place.writing.segment_bytes);
  place.writing.keep = BULKHEAD_TRY(parameters.number("keep", 0, 1'000'000)).value_or(0);
  place.look = BULKHEAD_TRY(parameters.duration("look"));
  BULKHEAD_TRY(parameters.expect_none_left());
  return place;
}

}  // namespace file

const MechanismEntry file_mechanism{
    .mechanism = Mechanism::file,
    .capabilities = {.many_clients = true,
                     .other_machine = true,
                     .both_ways = true,
                     .unrelated = true,
                     .reliable = true,
                     .tells_death = true,
                     .survives = true},
    .make_pair = file::make_pair,
    .adopt = file::adopt,
    .connect = file::connect,
    .listen = file::listen,
};

}  // namespace bulkhead::transport

// SPDX-License-Identifier: Apache-2.0
//
// Opening the two ends of a mapped file.
#include <array>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.hpp"
#include "transport/file/file_mechanism.hpp"
#include "transport/mechanism.hpp"
#include "transport/mmap/mmap_link.hpp"
#include "transport/parameters.hpp"

namespace bulkhead::transport {
namespace mmap {
namespace {

struct Place {
  std::string folder;
  SyncOptions sync;
  bool follow = false;
  int seat = 1;  // of who connects
  std::optional<std::chrono::milliseconds> look;

  std::string ring(int end) const { return folder + "/" + std::to_string(end) + ".ring"; }
  std::string tail(int end) const { return folder + "/" + std::to_string(end) + ".tail"; }
  std::string head(int end) const { return folder + "/" + std::to_string(end) + ".head"; }
};

Result<Place> read_place(const std::string& name) {
  Place place;
  place.folder = name;
  auto parameters = BULKHEAD_TRY(Parameters::cut_from(place.folder));
  BULKHEAD_TRY(file::check_path(place.folder));
  if (const auto sync = BULKHEAD_TRY(parameters.one_of("sync", {"none", "interval", "each"}))) {
    place.sync.sync = static_cast<Sync>(*sync);
  }
  place.sync.interval = BULKHEAD_TRY(parameters.duration("interval")).value_or(place.sync.interval);
  place.follow = BULKHEAD_TRY(parameters.one_of("follow", {"no", "yes"})) == 1u;
  if (BULKHEAD_TRY(parameters.one_of("seat", {"connect", "listen"})) == 1u) place.seat = 0;
  place.look = BULKHEAD_TRY(parameters.duration("look"));
  BULKHEAD_TRY(parameters.expect_none_left());
  return place;
}

Result<Fd> open_shared(const std::string& path) { return os::open_file(path, O_RDWR | O_CREAT); }

/// Makes what is missing of both ends, so that the other finds it whoever comes first.
Result<void> make_folder(const Place& place, std::uint64_t capacity) {
  BULKHEAD_TRY(os::make_folder(place.folder));
  for (const int end : {0, 1}) {
    BULKHEAD_TRY(RingFile::open(place.ring(end), capacity));
    BULKHEAD_TRY(open_shared(place.tail(end)));
    BULKHEAD_TRY(open_shared(place.head(end)));
  }
  return {};
}

/// What `end` is made of; the peer is looked at before it can see that we have come.
Result<std::unique_ptr<Link>> open_end(const Place& place, int end, std::shared_ptr<Seat> seat,
                                       const ChannelOptions& options, Met met) {
  const int other = 1 - end;
  const std::uint64_t capacity = options.capacity_bytes;
  auto out = BULKHEAD_TRY(RingFile::open(place.ring(end), capacity));
  auto in = BULKHEAD_TRY(RingFile::open(place.ring(other), capacity));
  Fd own_tail = BULKHEAD_TRY(open_shared(place.tail(end)));
  Fd own_head = BULKHEAD_TRY(open_shared(place.head(end)));
  Fd peer_tail = BULKHEAD_TRY(open_shared(place.tail(other)));
  Fd peer_tail_too = BULKHEAD_TRY(open_shared(place.tail(other)));
  Fd peer_head = BULKHEAD_TRY(open_shared(place.head(other)));
  struct stat found{};
  if (::fstat(peer_tail.native(), &found) != 0) {
    return fail(Error::from_errno(errno, {.operation = "look at", .object = place.tail(other)}));
  }
  auto sender = BULKHEAD_TRY(RingSender::open(std::move(out), std::move(own_tail), place.tail(end),
                                              std::move(peer_head), place.head(other), place.sync));
  auto receiver = BULKHEAD_TRY(RingReceiver::open(std::move(in), std::move(peer_tail_too),
                                                  place.tail(other), std::move(own_head),
                                                  place.head(end), options.max_message_bytes));
  auto for_data = std::make_unique<PeerWatch>(
      peer_tail, place.tail(other), std::vector{place.tail(other)}, place.look, place.follow, met);
  auto for_room = std::make_unique<PeerWatch>(peer_tail, place.tail(other),
                                              std::vector{place.head(other), place.tail(other)},
                                              place.look, place.follow, met);
  BULKHEAD_TRY(for_data->fate());
  BULKHEAD_TRY(for_room->fate());
  BULKHEAD_TRY(seat->owner.open());
  return std::make_unique<MmapLink>(Parts{.seat = std::move(seat),
                                          .sender = std::move(sender),
                                          .receiver = std::move(receiver),
                                          .for_data = std::move(for_data),
                                          .for_room = std::move(for_room),
                                          .peer_tail = std::move(peer_tail),
                                          .peer_uid = found.st_uid},
                                    options);
}

Result<std::unique_ptr<Acceptor>> listen(const std::string& name, const ChannelOptions& options,
                                         bool) {
  const Place place = BULKHEAD_TRY(read_place(name));
  BULKHEAD_TRY(make_folder(place, options.capacity_bytes));
  auto seat = BULKHEAD_TRY(Seat::take(place.tail(0)));
  return file::accept_on(std::move(seat), place.tail(1), place.look,
                         [place, options](std::shared_ptr<Seat> taken) {
                           return open_end(place, 0, std::move(taken), options, Met::before);
                         });
}

Result<std::unique_ptr<Link>> connect(const std::string& name, Deadline,
                                      const ChannelOptions& options) {
  const Place place = BULKHEAD_TRY(read_place(name));
  BULKHEAD_TRY(make_folder(place, options.capacity_bytes));
  auto seat = BULKHEAD_TRY(Seat::take(place.tail(place.seat)));
  return open_end(place, place.seat, std::move(seat), options, Met::not_yet);
}

}  // namespace
}  // namespace mmap

const MechanismEntry mmap_mechanism{
    .mechanism = Mechanism::mmap,
    .capabilities = {.both_ways = true,
                     .unrelated = true,
                     .reliable = true,
                     .tells_death = true,
                     .survives = true},
    .make_pair = [](const ChannelOptions&) -> Result<LinkPair> {
      return fail(ErrorKind::unsupported,
                  {.cause = "mapped files outlive their ends, and so need a path",
                   .remedy = "listen at mmap:///FOLDER and connect to it; or pair(shm)"});
    },
    .adopt = nullptr,
    .connect = mmap::connect,
    .listen = mmap::listen,
};

}  // namespace bulkhead::transport

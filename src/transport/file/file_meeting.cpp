// SPDX-License-Identifier: Apache-2.0
#include "transport/file/file_meeting.hpp"

#include <fcntl.h>

#include "os/file.hpp"

namespace bulkhead::transport::file {
namespace {

std::string log_of(const Place& place, Place::End end) {
  return place.folder + (end == Place::End::listens ? "/listen" : "/connect");
}
std::string seat_of(const Place& place) { return place.folder + "/listener"; }
std::string owner_of(const std::string& log) { return log + "/" + owner_name; }

/// Makes what is missing, so that the other end finds it whoever comes first.
Result<void> make_folders(const Place& place) {
  BULKHEAD_TRY(os::make_folder(place.folder));
  for (const auto end : {Place::End::listens, Place::End::connects}) {
    BULKHEAD_TRY(os::make_folder(log_of(place, end)));
    BULKHEAD_TRY(os::open_file(owner_of(log_of(place, end)), O_RDWR | O_CREAT));
  }
  return {};
}

/// One peer, in one process of this user: two-way logs lack what one-way ones have.
Result<void> check_needs(const Capabilities& needs) {
  if (!needs.many_clients) return {};
  return fail(ErrorKind::unsupported,
              {.cause = "file cannot serve many clients both ways",
               .remedy = "take a log one way (ChannelOptions::direction), or another mechanism"});
}

/// The other end's last session, if that is over.
Result<std::optional<std::uint64_t>> session_before(const std::string& log) {
  const std::string path = owner_of(log);
  const Fd file = BULKHEAD_TRY(os::open_file(path, O_RDWR | O_CREAT));
  os::OwnerSight sight{file, 0, path};
  BULKHEAD_TRY(sight.look());
  if (sight.is_open()) return std::nullopt;
  return sight.record().session;
}

/// The other end is looked at before it can see that we have come.
Result<std::unique_ptr<Link>> open_end(const Place& place, Place::End end,
                                       std::shared_ptr<Seat> seat,
                                       std::optional<std::uint64_t> gone_before,
                                       const ChannelOptions& options) {
  const bool listens = end == Place::End::listens;
  Parts parts;
  parts.in_folder = log_of(place, listens ? Place::End::connects : Place::End::listens);
  parts.follow = place.follow;
  parts.look = place.look;
  parts.gone_before = gone_before;
  parts.in.emplace(BULKHEAD_TRY(LogReader::open(parts.in_folder, place.reading)));
  parts.out.emplace(BULKHEAD_TRY(LogWriter::open(log_of(place, end), place.writing)));
  parts.seat = std::move(seat);
  return BULKHEAD_TRY(FileLink::create(std::move(parts), options));
}

}  // namespace

Result<std::unique_ptr<Link>> connect_both_ways(Place place, const ChannelOptions& options) {
  BULKHEAD_TRY(check_needs(options.needs));
  BULKHEAD_TRY(make_folders(place));
  const bool listens = place.end == Place::End::listens;
  std::shared_ptr<Seat> seat;
  if (listens) seat = BULKHEAD_TRY(Seat::take(seat_of(place)));
  const auto other = log_of(place, listens ? Place::End::connects : Place::End::listens);
  const auto gone = BULKHEAD_TRY(session_before(other));
  return open_end(place, place.end, std::move(seat), gone, options);
}

Result<std::unique_ptr<Acceptor>> listen_both_ways(Place place, const ChannelOptions& options) {
  BULKHEAD_TRY(check_needs(options.needs));
  BULKHEAD_TRY(make_folders(place));
  auto seat = BULKHEAD_TRY(Seat::take(seat_of(place)));
  const auto client = owner_of(log_of(place, Place::End::connects));
  // Who was accepted has come, and may have gone again: that is told.
  return accept_on(std::move(seat), client, place.look,
                   [place = std::move(place), options](std::shared_ptr<Seat> taken) {
                     return open_end(place, Place::End::listens, std::move(taken), std::nullopt,
                                     options);
                   });
}

}  // namespace bulkhead::transport::file

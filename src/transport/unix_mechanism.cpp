// SPDX-License-Identifier: Apache-2.0
//
// unix as one mechanism: packets (unix_socket.hpp), or, where the address ends with "?type=stream",
// a stream of bytes (unix_stream.hpp).
#include "os/socket.hpp"
#include "transport/mechanism.hpp"
#include "transport/unix_meeting.hpp"
#include "transport/unix_socket.hpp"
#include "transport/unix_stream.hpp"

namespace bulkhead::transport {
namespace {

Result<std::unique_ptr<Link>> adopt_either(Fd socket, const ChannelOptions& options) {
  return is_unix_stream(socket) ? adopt_unix_stream(std::move(socket), options)
                                : adopt_unix(std::move(socket), options);
}

/// The streams carry no handles.
Result<void> check_needs(const MeetingPlace& place, const ChannelOptions& options) {
  if (!place.is_stream || !options.needs.handles) return {};
  return fail(ErrorKind::unsupported, {.cause = "a Unix socket of type stream cannot carry handles",
                                       .remedy = "leave out type=stream"});
}

}  // namespace

const MechanismEntry unix_mechanism{
    .mechanism = Mechanism::unix_socket,
    .capabilities = {.handles = true,
                     .many_clients = true,
                     .both_ways = true,
                     .unrelated = true,
                     .reliable = true,
                     .tells_death = true},
    .make_pair = make_unix_pair,
    .adopt =
        [](Handle handle, const ChannelOptions& options) {
          return adopt_either(std::move(handle).take_fd(), options);
        },
    .connect = [](const std::string& name, Deadline deadline,
                  const ChannelOptions& options) -> Result<std::unique_ptr<Link>> {
      const auto place = BULKHEAD_TRY(MeetingPlace::of_unix(name));
      BULKHEAD_TRY(check_needs(place, options));
      Fd socket = BULKHEAD_TRY(connect_to(place, deadline));
      const ChannelOptions with = for_peer_of(socket, options);
      return adopt_either(std::move(socket), with);
    },
    .listen = [](const std::string& name, const ChannelOptions& options,
                 bool other_users) -> Result<std::unique_ptr<Acceptor>> {
      const auto place = BULKHEAD_TRY(MeetingPlace::of_unix(name));
      BULKHEAD_TRY(check_needs(place, options));
      return listen_at(place, options, other_users, adopt_either);
    },
};

}  // namespace bulkhead::transport

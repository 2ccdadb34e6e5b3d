// SPDX-License-Identifier: Apache-2.0
//
// The table of mechanisms: what they are called is in Address, what they are is in a file pair
// each, and here are the lines that join the two.
#include <unistd.h>

#include "os/names.hpp"
#include "os/socket.hpp"
#include "transport/inproc.hpp"
#include "transport/link.hpp"
#include "transport/shm/shm_link.hpp"
#include "transport/unix_meeting.hpp"
#include "transport/unix_socket.hpp"

namespace bulkhead::transport {
namespace {

/// The longest name of those that are not paths.
constexpr std::size_t longest_name = 64;

Result<std::unique_ptr<Link>> shm_from(Fd socket, const ChannelOptions& options) {
  return adopt_shm(std::move(socket), options);
}

/// TRUST: another user's process is never trusted more than the default says.
ChannelOptions for_peer_of(FdView socket, ChannelOptions options) {
  if (os::peer_credentials(socket).uid != ::geteuid()) options.trust = Trust::untrusted;
  return options;
}

std::unexpected<Error> missing() {
  return fail(ErrorKind::unsupported, {.cause = "this mechanism is not known here"});
}

}  // namespace

Result<std::size_t> Link::send_many(std::span<const Bytes> messages, Deadline deadline) {
  std::size_t sent = 0;
  for (const Bytes message : messages) {
    if (auto result = send(message, {}, deadline); !result) {
      const bool later =
          result.error() == ErrorKind::timed_out || result.error() == ErrorKind::full;
      if (sent == 0 || !later) return fail(std::move(result).error());
      break;
    }
    ++sent;
  }
  return sent;
}

Result<std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>>> make_pair(
    Mechanism mechanism, const ChannelOptions& options) {
  switch (mechanism) {
    case Mechanism::inproc:
      return make_inproc_pair(options);
    case Mechanism::unix_socket:
      return make_unix_pair(options);
    case Mechanism::shm:
      return make_shm_pair(options);
  }
  return missing();
}

Result<std::unique_ptr<Link>> connect(const Address& address, Deadline deadline,
                                      const ChannelOptions& options) {
  const std::string name{address.name()};
  switch (BULKHEAD_TRY(address.mechanism())) {
    case Mechanism::inproc:
      BULKHEAD_TRY(os::check_name(name, longest_name));
      return connect_inproc(name, deadline, options);
    case Mechanism::unix_socket: {
      const auto place = BULKHEAD_TRY(MeetingPlace::of_unix(name));
      Fd socket = BULKHEAD_TRY(connect_to(place, deadline));
      const ChannelOptions with = for_peer_of(socket, options);
      return adopt_unix(std::move(socket), with);
    }
    case Mechanism::shm: {
      const auto place = BULKHEAD_TRY(MeetingPlace::of_shm(name));
      Fd socket = BULKHEAD_TRY(connect_to(place, deadline));
      const ChannelOptions with = for_peer_of(socket, options);
      return adopt_shm(std::move(socket), with);
    }
  }
  return missing();
}

Result<std::unique_ptr<Link>> adopt(Handle handle, const ChannelOptions& options) {
  switch (static_cast<Mechanism>(handle.mechanism())) {
    case Mechanism::inproc:
      return adopt_inproc(std::move(handle));
    case Mechanism::unix_socket:
      return adopt_unix(std::move(handle).take_fd(), options);
    case Mechanism::shm:
      return shm_from(std::move(handle).take_fd(), options);
  }
  return missing();
}

Result<std::unique_ptr<Acceptor>> listen(const Address& address, const ChannelOptions& options,
                                         bool other_users) {
  const std::string name{address.name()};
  switch (BULKHEAD_TRY(address.mechanism())) {
    case Mechanism::inproc:
      BULKHEAD_TRY(os::check_name(name, longest_name));
      return listen_inproc(name);
    case Mechanism::unix_socket:
      return listen_at(BULKHEAD_TRY(MeetingPlace::of_unix(name)), options, other_users, adopt_unix);
    case Mechanism::shm:
      return listen_at(BULKHEAD_TRY(MeetingPlace::of_shm(name)), options, other_users, shm_from);
  }
  return missing();
}

}  // namespace bulkhead::transport

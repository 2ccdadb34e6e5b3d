// SPDX-License-Identifier: Apache-2.0
//
// The table of mechanisms: what they are called is in Address, what they are is in a file pair
// each, and here is the line that joins the two.
#include "transport/inproc.hpp"
#include "transport/link.hpp"

namespace bulkhead::transport {
namespace {

std::unexpected<Error> missing(Mechanism mechanism) {
  return fail(ErrorKind::unsupported,
              {.cause = std::string{to_string(mechanism)} + " is not built in"});
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
      break;
    case Mechanism::shm:
      break;
  }
  return missing(mechanism);
}

Result<std::unique_ptr<Link>> connect(const Address& address, Deadline deadline,
                                      const ChannelOptions& options) {
  const Mechanism mechanism = BULKHEAD_TRY(address.mechanism());
  const std::string name{address.name()};
  switch (mechanism) {
    case Mechanism::inproc:
      return connect_inproc(name, deadline, options);
    case Mechanism::unix_socket:
      break;
    case Mechanism::shm:
      break;
  }
  return missing(mechanism);
}

Result<std::unique_ptr<Link>> adopt(Handle handle, const ChannelOptions& options) {
  static_cast<void>(options);
  const auto mechanism = static_cast<Mechanism>(handle.mechanism());
  switch (mechanism) {
    case Mechanism::inproc:
      return adopt_inproc(std::move(handle));
    case Mechanism::unix_socket:
      break;
    case Mechanism::shm:
      break;
  }
  return missing(mechanism);
}

Result<std::unique_ptr<Acceptor>> listen(const Address& address, const ChannelOptions& options,
                                         bool other_users) {
  static_cast<void>(options);
  static_cast<void>(other_users);
  const Mechanism mechanism = BULKHEAD_TRY(address.mechanism());
  const std::string name{address.name()};
  switch (mechanism) {
    case Mechanism::inproc:
      return listen_inproc(name);
    case Mechanism::unix_socket:
      break;
    case Mechanism::shm:
      break;
  }
  return missing(mechanism);
}

}  // namespace bulkhead::transport

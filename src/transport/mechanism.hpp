// SPDX-License-Identifier: Apache-2.0
//
// MechanismEntry: all that the rest of the library knows of a mechanism. Each is defined in the
// source file of its mechanism and has one line here; deleting both deletes the mechanism.
//
// `name` is what stands behind the scheme of an address, parameters included (parameters.hpp).
// The factory has checked ChannelOptions::needs against `capabilities` before it calls.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "os/named_thing.hpp"
#include "transport/link.hpp"

namespace bulkhead::transport {

using LinkPair = std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>>;

struct MechanismEntry {
  Mechanism mechanism;
  Capabilities capabilities;
  /// Both ends here. `options` are those of the first; the second has the other direction.
  Result<LinkPair> (*make_pair)(const ChannelOptions& options);
  /// What detach() gave up. A mechanism whose ends cannot be handed over has null.
  Result<std::unique_ptr<Link>> (*adopt)(Handle handle, const ChannelOptions& options);
  /// Null where there are no addresses.
  Result<std::unique_ptr<Link>> (*connect)(const std::string& name, Deadline deadline,
                                           const ChannelOptions& options);
  Result<std::unique_ptr<Acceptor>> (*listen)(const std::string& name,
                                              const ChannelOptions& options, bool other_users);
  /// Its ends need calls that no sandbox allows (sandbox/profile.cpp).
  const char* unfit_for_sandbox = nullptr;
  /// For `bulkhead clean`: names that clients made at the listener called `name` and left when they
  /// died before it took them in. Of a listener that is dead, with its name locked (what is Do::look:
  /// or not), or of one that lives.
  std::vector<os::NamedThing> (*left_by_clients)(const std::string& name, os::NamedThing::Do what,
                                                 bool listener_lives) = nullptr;
};

extern const MechanismEntry inproc_mechanism;
extern const MechanismEntry pipe_mechanism;
extern const MechanismEntry fifo_mechanism;
extern const MechanismEntry unix_mechanism;
extern const MechanismEntry shm_mechanism;
extern const MechanismEntry file_mechanism;
extern const MechanismEntry mmap_mechanism;
extern const MechanismEntry tcp_mechanism;
extern const MechanismEntry udp_mechanism;
extern const MechanismEntry posix_mq_mechanism;
extern const MechanismEntry sysv_mq_mechanism;

/// A line a mechanism.
// clang-format off
inline constexpr std::array mechanisms{
    &inproc_mechanism,
    &pipe_mechanism,
    &fifo_mechanism,
    &unix_mechanism,
    &shm_mechanism,
    &file_mechanism,
    &mmap_mechanism,
    &tcp_mechanism,
    &udp_mechanism,
    &posix_mq_mechanism,
    &sysv_mq_mechanism,
};
// clang-format on

/// The direction of the other end.
constexpr Direction opposite(Direction direction) noexcept {
  switch (direction) {
    case Direction::send:
      return Direction::receive;
    case Direction::receive:
      return Direction::send;
    case Direction::both:
      break;
  }
  return Direction::both;
}

}  // namespace bulkhead::transport

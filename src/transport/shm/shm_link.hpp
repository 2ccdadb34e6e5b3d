// SPDX-License-Identifier: Apache-2.0
//
// The shm transport: messages through memory that each end writes alone and the other only reads.
// docs/protocol/shm.md is the protocol; layout.hpp what lies in memory; control.hpp what crosses
// the control socket.
//
// An end is born unbound: a SOCK_SEQPACKET control socket and nothing else, so that it can be
// passed to another process. The first use binds it: it makes its segment and sends its hello.
// Messages go over the socket until each end has mapped the other's segment, and through memory
// from then on, each direction for itself. Where an end cannot make or map memory they stay on the
// socket for good (decision 0040).
//
// Peer death: the control socket hangs up. What was sent is delivered, then `closed` when the peer
// had said so, else `peer_died`.
// TRUST: every value of the peer is loaded once and checked against private state; the first lie
// ends the link with `corrupt`, for ever. See hostile_view.hpp.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "transport/link.hpp"

namespace bulkhead::transport::shm {
class MappingBook;
}

namespace bulkhead::transport {

/// Seams for tests and the bench; the protocol is spoken with the defaults.
struct ShmSetup {
  /// Where all cursors start: near 2^64 to test their wrap. The same at both ends.
  std::uint64_t first_cursor = 0;
  /// Both ends, in one process, use one mapping of each segment, so that ThreadSanitizer sees them
  /// touch the same addresses.
  std::shared_ptr<shm::MappingBook> one_mapping = nullptr;
  /// Every wait sleeps at once: for measuring wake-ups, and for tests of them.
  bool always_sleep = false;
  /// As if this process might not make memory.
  bool no_memory = false;
};

/// Two connected unbound ends in this process.
Result<std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>>> make_shm_pair(
    const ChannelOptions& options, const ShmSetup& setup = {});

/// An unbound end from its control socket: passed at spawn or as a handle, or connected through a
/// name. `invalid` unless it is a connected Unix socket of type SOCK_SEQPACKET.
Result<std::unique_ptr<Link>> adopt_shm(Fd control_socket, const ChannelOptions& options,
                                        const ShmSetup& setup = {});

/// Which way the messages of a shm link go now; for tests and those who look. Any thread.
struct ShmWays {
  bool sends_in_memory = false;
  bool receives_in_memory = false;
  bool stays_on_socket = false;  // for good
};
ShmWays shm_ways(const Link& shm_link) noexcept;

}  // namespace bulkhead::transport

// SPDX-License-Identifier: Apache-2.0
//
// udp: channels over connected UDP sockets, a datagram a message. What crosses them is in
// udp_frame.hpp, what is made of it in udp_hearing.hpp; addresses and listening are in
// udp_meeting.hpp.
//
// Nothing here reads or writes but without waiting; waiting is os::poll with the caller's deadline.
// A client whose hello is not answered sends it again from within its calls, at growing intervals:
// there is no thread to do it.
//
// Peer death: the kernel tells when the peer's machine answers that nobody has the port (ICMP), so
// it is learnt by sending, and never from a machine that went silent. Close is told by a datagram,
// which may be lost like any other.
// Forks: the process that used an end first, or made it, closes it; a copy that a forked child has
// goes without a word.
// TRUST: every datagram is checked once it is in memory of ours.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "transport/link.hpp"
#include "transport/udp_hearing.hpp"

namespace bulkhead::transport {

struct UdpEnd {
  UdpHearing hearing{UdpHearing::Role::pair, 0};
  /// Datagrams that came before this end was made, whole.
  std::deque<Message> early{};
  Peer peer{};
};

/// An end from its connected socket; of a group, from a socket that is bound or connected to it.
/// A client says hello when it is made: `not_found` when the kernel refuses it already. One whose
/// listener `is_far`, not at a loopback address, waits for the answer until the deadline.
Result<std::unique_ptr<Link>> make_udp_link(Fd socket, UdpEnd end, const ChannelOptions& options,
                                            bool is_far = false, Deadline deadline = no_wait);

}  // namespace bulkhead::transport

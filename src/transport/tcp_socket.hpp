// SPDX-License-Identifier: Apache-2.0
//
// tcp: channels over TCP. What crosses them is in stream_frame.hpp, how it is read and written in
// stream_link.hpp; addresses and listening are in tcp_meeting.hpp.
//
// Both ends say hello when they are made, not at the first use: bytes that reach a socket which has
// been closed make its kernel reset the connection, and what it had not delivered yet is lost.
//
// Half-open connections: a machine that lost power or network sends nothing, not even an end. While
// a call waits, a ping goes out when nothing has arrived for `heartbeat`; the peer ignores it, its
// kernel acknowledges it. When bytes are under way and nothing has been acknowledged for `patience`,
// the peer is dead: that is, at most two heartbeats and once the patience after its last word. A peer that only does not read, or is stopped, is not: its
// kernel acknowledges. That is why the kernel's own limit, TCP_USER_TIMEOUT, is not set: it also
// ends connections whose reader is slow (net/ipv4/tcp_timer.c, tcp_probe_timer). Who waits outside,
// on the descriptor of readable(), is woken by a timer for the same work. An end that makes no call
// has the kernel's keep-alive.
#pragma once

#include <chrono>
#include <memory>

#include "transport/link.hpp"

namespace bulkhead::transport {

struct TcpSettings {
  std::chrono::milliseconds heartbeat = std::chrono::seconds{10};  ///< 0: none
  std::chrono::milliseconds patience = std::chrono::seconds{20};
};

/// An end from its connected socket, which says hello.
Result<std::unique_ptr<Link>> make_tcp_link(Fd socket, const ChannelOptions& options,
                                            const TcpSettings& settings = {}, Peer peer = {});

}  // namespace bulkhead::transport

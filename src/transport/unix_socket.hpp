// SPDX-License-Identifier: Apache-2.0
//
// unix: channels over Unix sockets of type SOCK_SEQPACKET. What crosses them is in unix_frame.hpp;
// names and listening are in unix_meeting.hpp.
//
// An end is born unbound: a socket and nothing else, so that it can be passed to another process.
// Its first use sends a hello; the peer's is looked for when something is received. Nothing here
// reads or writes but without waiting; waiting is os::poll with the caller's deadline.
//
// Peer death: the socket hangs up without a close packet. Close is told by a packet, for which room
// is kept beside the room for messages, so that it gets through to a peer that does not read.
// Forks: the process that used an end first, or made it, closes it; a copy that a forked child has
// goes without a word.
// TRUST: the kernel copies; every packet is checked once it is in memory of ours. A message grows
// with what arrived, never with what a header promises. Every descriptor is owned on arrival.
#pragma once

#include <memory>
#include <utility>

#include "transport/link.hpp"

namespace bulkhead::transport {

/// Two connected unbound ends.
Result<std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>>> make_unix_pair(
    const ChannelOptions& options);

/// An unbound end from its socket. `invalid` unless it is a connected Unix socket of the right
/// type.
Result<std::unique_ptr<Link>> adopt_unix(Fd socket, const ChannelOptions& options);

/// Tells a client that it may not come in; it sees `denied`.
void refuse_unix(FdView socket) noexcept;

}  // namespace bulkhead::transport

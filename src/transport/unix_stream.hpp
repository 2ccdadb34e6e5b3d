// SPDX-License-Identifier: Apache-2.0
//
// unix, as a stream: channels over Unix sockets of type SOCK_STREAM, "unix:///path?type=stream".
// What crosses them is in stream_frame.hpp. One write carries many small messages and one read takes
// them, where packets cost a call each; handles they do not carry.
//
// Peer death: the socket hangs up without a close frame. For that frame room is kept beside the room
// for messages, so that it gets through to a peer that does not read.
#pragma once

#include <memory>

#include "transport/link.hpp"

namespace bulkhead::transport {

bool is_unix_stream(FdView socket) noexcept;

/// An unbound end from its socket. `invalid` unless it is connected.
Result<std::unique_ptr<Link>> adopt_unix_stream(Fd socket, const ChannelOptions& options);

/// Tells a client that it may not come in; it sees `denied`.
void refuse_unix_stream(FdView socket) noexcept;

}  // namespace bulkhead::transport

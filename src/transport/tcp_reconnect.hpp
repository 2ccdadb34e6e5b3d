// SPDX-License-Identifier: Apache-2.0
//
// A client's end of TCP that makes its connection anew when it breaks: "?reconnect=1min".
//
// connect() goes on trying until its deadline when nobody listens yet. When the connection breaks
// later, what had been sent and was not received may be lost, and nobody can know which: so nothing
// is sent again by the library, and the break is told, once to each half: one send and one receive
// return `peer_died` with the cause, and that the next call connects anew. That next call does, and
// sends or receives on the new connection, of which the listener makes a new Channel. When nobody
// has taken the connection for as long as `reconnect` says, the end is dead for good. An orderly
// end of the peer, and a peer that breaks the protocol, are the end for good at once.
//
// STATE of the end
//   joined  --the connection breaks--> broken     each half hears of it by its next call
//   joined  --closed, corrupt--> over             every call says so
//   broken  --a call connects--> joined
//   broken  --nobody for `reconnect`--> over      every call says peer_died
//
// Between two attempts it waits: 10 ms, doubled each time up to 2 s, and of that a random part, so
// that many clients of one listener do not come at once.
#pragma once

#include <chrono>
#include <memory>

#include "transport/tcp_meeting.hpp"
#include "transport/tcp_socket.hpp"

namespace bulkhead::transport {

Result<std::unique_ptr<Link>> connect_for_good(TcpCaller caller, Deadline deadline,
                                               std::chrono::milliseconds reconnect,
                                               const ChannelOptions& options,
                                               const TcpSettings& settings);

}  // namespace bulkhead::transport

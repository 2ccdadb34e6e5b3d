// SPDX-License-Identifier: Apache-2.0
//
// Where ends of UDP find each other: "127.0.0.1:4711", "[::1]:4711", "host:4711"; port 0 to listen
// at one that the system chooses. A group, "239.1.2.3:4711?interface=eth0&hops=1", is connected to
// with a direction: the senders send to whoever receives. Without `interface` it is the loopback
// one, without `hops` (of routers, 1 to 255) one.
//
// Listening: a client's hello makes nothing of lasting cost. From a loopback address, which cannot
// be forged from outside, it is believed; another one is answered with a challenge, a keyed hash
// of address, session and time (SipHash), which must come back: a flood of forged hellos costs an
// answer each, no larger than they are. Believed hellos wait for accept(), 256 at most, with what
// their clients sent meanwhile, 4 MiB at most; more is lost, as UDP loses things.
//
// accept() makes a socket for the client at the same port, connected to it: from then on the kernel
// sorts. For that the sockets share the port (SO_REUSEPORT), which the kernel allows to sockets of
// the same user alone. Between its bind and its connect the new one may get what is another
// client's: that is taken out of it and heard as the listener's.
#pragma once

#include <string>

#include "transport/mechanism.hpp"

namespace bulkhead::transport {

/// Both on the loopback device, each connected to the other and to nobody else.
Result<LinkPair> make_udp_pair(const ChannelOptions& options);

Result<std::unique_ptr<Link>> connect_udp(const std::string& name, Deadline deadline,
                                          const ChannelOptions& options);

Result<std::unique_ptr<Acceptor>> listen_udp(const std::string& name, const ChannelOptions& options,
                                             bool other_users);

}  // namespace bulkhead::transport

// SPDX-License-Identifier: Apache-2.0
//
// Where ends of TCP find each other: "127.0.0.1:4711", "[::1]:4711", "host:4711"; port 0 to listen
// at one that the system chooses. Behind the question mark, at either end:
//   heartbeat=10s   how long nothing need arrive before a waiting call asks whether the peer is
//                   there; 0s: never
//   patience=20s    how long an answer may take
// and to connect alone:
//   reconnect=1min  see tcp_reconnect.hpp
//
// Who may connect is decided by the address and by the network alone: TCP knows no users. So a
// listener is open to what its address says, 127.0.0.1 to all processes of this machine, and every
// peer is untrusted.
#pragma once

#include <string>
#include <vector>

#include "os/inet.hpp"
#include "transport/mechanism.hpp"

namespace bulkhead::transport {

/// Makes a connection to the first of some addresses that takes it. What a deadline cut short goes
/// on with the next call.
class TcpCaller {
 public:
  explicit TcpCaller(std::vector<os::InetAddress> addresses) : addresses_(std::move(addresses)) {}

  /// `not_found` when nobody listens at any of them; `timed_out`, or `empty` for os::no_wait.
  Result<Fd> call(Deadline deadline);
  /// The attempt that is under way, if one is: it becomes writable when it is decided.
  FdView pending() const noexcept { return socket_; }

 private:
  Result<void> begin(Deadline deadline);
  Result<void> judge();
  Result<bool> next(Error error);

  std::vector<os::InetAddress> addresses_;
  std::size_t at_ = 0;
  Fd socket_;
  Deadline share_ = no_wait;  // until when this address may take
  std::optional<Error> first_;
};

/// Both on the loopback device, and connected to each other for sure.
Result<LinkPair> make_tcp_pair(const ChannelOptions& options);

Result<std::unique_ptr<Link>> connect_tcp(const std::string& name, Deadline deadline,
                                          const ChannelOptions& options);

Result<std::unique_ptr<Acceptor>> listen_tcp(const std::string& name, const ChannelOptions& options,
                                             bool other_users);

}  // namespace bulkhead::transport

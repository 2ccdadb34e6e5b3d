// SPDX-License-Identifier: Apache-2.0
//
// Inbox: the packets that came over the control socket, in their order: those that were put aside,
// then those in the socket. Only the receiver takes them. A sender that finds its peer gone has to
// know whether it closed or died, and that is told behind everything else: it puts all aside.
//
// Threads: any; packets are taken one at a time. TRUST: what is put aside is no more than the socket
// held, since keep_all() is for a peer that cannot send any more.
#pragma once

#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include <bulkhead/bytes.hpp>
#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

#include "os/socket.hpp"

namespace bulkhead::transport::shm {

class Inbox {
 public:
  /// As os::receive_packet().
  Result<os::Packet> next(FdView socket, MutableBytes into, std::size_t most_fds);

  /// Puts aside all that is in the socket of a peer that has hung up. True: it has said bye.
  bool keep_all(FdView socket);

 private:
  struct Kept {
    std::vector<std::byte> bytes;
    std::vector<Fd> fds;
  };

  std::mutex mutex_;
  std::deque<Kept> kept_;
  bool bye_came_ = false;
  std::optional<Error> lost_;  // what came behind them could not be kept
};

/// The next packet in the socket itself.
Result<os::Packet> next_in(FdView socket, MutableBytes into, std::size_t most_fds);

}  // namespace bulkhead::transport::shm

// SPDX-License-Identifier: Apache-2.0
//
// Short reads and writes: for as long as a ShortIo lives, every system call of this process on a
// stream (a pipe, a FIFO, a stream socket) moves at most so many bytes, as a kernel may at any time.
// What the kernel promises stays: a write of at most PIPE_BUF bytes into a pipe is not torn.
//
// The calls are the executable's own read, write, readv, writev, recv, send, recvmsg and sendmsg,
// which the static library binds to.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bulkhead::conformance {

class ShortIo {
 public:
  explicit ShortIo(std::size_t most_bytes);
  /// Only the next call in this direction is cut.
  enum class Next : std::uint8_t { read, write };
  ShortIo(Next direction, std::size_t most_bytes);
  ShortIo(const ShortIo&) = delete;
  ShortIo& operator=(const ShortIo&) = delete;
  ~ShortIo();

  /// How many calls were cut short.
  std::size_t cut() const;
};

}  // namespace bulkhead::conformance

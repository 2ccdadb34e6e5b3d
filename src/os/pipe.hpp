// SPDX-License-Identifier: Apache-2.0
//
// Pipes and FIFOs: never blocking, never a SIGPIPE for the program around, and a mark by which one
// end tells the other that it closed in good order, although the pipe is full.
#pragma once

#include <cstddef>
#include <span>
#include <sys/types.h>
#include <sys/uio.h>
#include <utility>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::os {

struct Pipe {
  Fd read_end;
  Fd write_end;
};

/// Close-on-exec, not blocking.
Result<Pipe> make_pipe();

/// Makes its room the power of two from `wanted` bytes on, or as much as this user may have: what
/// the limits refuse (pipe-max-size, pipe-user-pages-soft of pipe(7)) is no error.
void set_pipe_room(FdView pipe, std::size_t wanted) noexcept;
/// Its room in bytes, in pages: a page is used up by a write that does not fit the one before.
std::size_t pipe_room(FdView pipe) noexcept;

/// What a descriptor is, by the kernel's word: a pipe or FIFO and which end.
bool is_read_end(FdView fd) noexcept;
bool is_write_end(FdView fd) noexcept;

/// Writes to pipes as writev(2) does, but EPIPE comes without its signal, whatever the program
/// does with that: by RWF_NOSIGNAL where the kernel has it (Linux 6.18), else with SIGPIPE blocked
/// in this thread for the moment and taken off again, unless one was pending before.
class PipeWriter {
 public:
  ssize_t write(FdView pipe, std::span<const iovec> parts) noexcept;
  /// As on a kernel without the flag.
  void forgo_flag() noexcept { kernel_can_ = false; }

 private:
  bool kernel_can_ = true;
};

/// Marks, visible at the other end, kept by the pipe itself: a bit of its mode for each end.
enum class PipeEnd { reading, writing };
/// False when the kernel does not let us: the pipe is another user's, a sandbox.
bool mark_closed(FdView pipe, PipeEnd by) noexcept;
bool is_marked_closed(FdView pipe, PipeEnd by) noexcept;
void unmark_closed(FdView pipe, PipeEnd by) noexcept;

}  // namespace bulkhead::os

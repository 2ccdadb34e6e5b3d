// SPDX-License-Identifier: Apache-2.0
//
// pipe: channels over anonymous pipes, one pipe a direction. For related processes: the ends are
// made together by pair() and go to another process by inheritance (fork, exec) or as a handle over
// another channel; they have no address. What crosses a pipe is in stream_frame.hpp.
//
// Peer death: the end of the pipe without a close frame; a sender of one way sees that nobody has
// the other end. Close is told by a frame, or, where the pipe is full or goes one way only, by a
// mark on the pipe itself (os/pipe.hpp): a process of another user cannot set it, and counts as
// dead then.
// A copy of an end in a process that was forked keeps the pipe open: fork with a copy of the writing
// end that lives on hides the writer's death.
#pragma once

#include <memory>

#include "os/pipe.hpp"
#include "transport/stream_link.hpp"

namespace bulkhead::transport {

/// What a link of pipes does with them; the FIFOs of named pipes are no different.
class PipeStreamLink : public StreamLink {
 public:
  ~PipeStreamLink() override { close(); }

 protected:
  PipeStreamLink(Fd in, Fd out, const ChannelOptions& options)
      : StreamLink(std::move(in), std::move(out), options) {}

  ssize_t read_some(FdView in, std::span<const iovec> parts) noexcept override;
  ssize_t write_some(FdView out, std::span<const iovec> parts) noexcept override;
  std::size_t prepare(const ChannelOptions& options) noexcept override;
  Error why_broken(int number) const override;
  bool close_aside() noexcept override;
  bool is_both_ways() const noexcept { return options().direction == Direction::both; }

 private:
  os::PipeWriter writer_;
};

}  // namespace bulkhead::transport

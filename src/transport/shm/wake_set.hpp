// SPDX-License-Identifier: Apache-2.0
//
// WakeSet: what a sleeping thread of an end sleeps on: the peer's bell, for news, and the control
// socket, for the end. An epoll descriptor of its own for each direction.
//
// The bell is watched edge-triggered: every ring wakes once, whether or not earlier rings were
// taken out of the bell, so that a wake-up costs the sleeper one system call. (poll(2) on both
// descriptors and a read cost two, and half as much time again on one core.) An eventfd is never
// emptied then; a socket, which can be full, is now and then: see Sleeper.
//
// Deadlines are a timer in the set, armed no more often than needed: calls with a deadline of 5 s
// each, one after the other, leave it where the first put it, and arm it anew when it has gone off
// too early. Arming a time-out for each sleep would cost a quarter of a round trip on one core.
#pragma once

#include <cstdint>

#include <bulkhead/deadline.hpp>
#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::transport::shm {

class WakeSet {
 public:
  enum class Woken : std::uint8_t { rung, timed_out, hung_up };

  static Result<WakeSet> create();

  /// Once; both outlive the set. What was rung before is told by the first wait.
  Result<void> add(FdView bell, FdView control);

  /// One system call as a rule, and the only one that blocks. `hung_up` also when it cannot be made
  /// at all. One thread.
  Woken wait(Deadline deadline) noexcept;

 private:
  WakeSet(Fd epoll, Fd timer) noexcept : epoll_(std::move(epoll)), timer_(std::move(timer)) {}

  bool arm(Deadline deadline) noexcept;

  Fd epoll_;
  Fd timer_;
  Deadline armed_ = Deadline::never();  // when the timer goes off
};

}  // namespace bulkhead::transport::shm

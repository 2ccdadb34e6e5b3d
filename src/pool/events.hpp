// SPDX-License-Identifier: Apache-2.0
//
// Events: one epoll descriptor over everything that the master waits for, with a timer in it, so that
// an event loop that watches the descriptor is told of time limits too.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <bulkhead/deadline.hpp>
#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::pool {

class Events {
 public:
  static Result<Events> create();

  /// Level-triggered. Keys are the caller's; remove before the descriptor is closed.
  Result<void> add(FdView fd, std::uint64_t key);
  void remove(FdView fd) noexcept;

  /// The keys that are ready; none when the deadline came first.
  std::span<const std::uint64_t> wait(Deadline deadline);

  /// Makes the descriptor readable at that time.
  void set_timer(Deadline at) noexcept;
  FdView descriptor() const noexcept { return epoll_; }

 private:
  static constexpr std::uint64_t timer_key = ~std::uint64_t{0};
  static constexpr int most_at_once = 64;

  Fd epoll_;
  Fd timer_;
  Deadline set_to_ = never;
  std::array<std::uint64_t, most_at_once> ready_{};
};

}  // namespace bulkhead::pool

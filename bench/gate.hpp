// SPDX-License-Identifier: Apache-2.0
//
// A Gate is a number that one side raises and the other waits for; the two sides of a pair step
// through their slices with it. The waiter polls first, so that two hot sides start a slice without
// a wake-up, and sleeps after that, so that a waiter does not disturb whoever shares its core.
#pragma once

#include <chrono>
#include <cstdint>

#include "bench/futex.hpp"

namespace bulkhead::bench {

class alignas(128) Gate {
 public:
  void raise(std::uint32_t value) noexcept {
    value_.store(value);
    if (asleep_.load() != 0) futex_wake(&value_);
  }

  /// Waits until the number is `value` or has passed it.
  void await(std::uint32_t value, std::chrono::nanoseconds poll_for) noexcept {
    if (polled(value, poll_for)) return;
    asleep_.store(1);
    for (;;) {
      const std::uint32_t seen = value_.load();
      if (reached(seen, value)) break;
      futex_wait(&value_, seen);
    }
    asleep_.store(0);
  }

 private:
  static bool reached(std::uint32_t seen, std::uint32_t value) noexcept {
    return static_cast<std::int32_t>(seen - value) >= 0;
  }

  bool polled(std::uint32_t value, std::chrono::nanoseconds poll_for) const noexcept {
    if (reached(value_.load(), value)) return true;
    if (poll_for.count() == 0) return false;
    const auto until = std::chrono::steady_clock::now() + poll_for;
    do {
      for (int i = 0; i < 64; ++i) {
        if (reached(value_.load(), value)) return true;
      }
    } while (std::chrono::steady_clock::now() < until);
    return false;
  }

  // Sequentially consistent throughout: the store of one word before the load of the other, on both
  // sides.
  Word value_{0};
  Word asleep_{0};
};

}  // namespace bulkhead::bench

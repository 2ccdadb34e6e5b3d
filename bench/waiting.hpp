// SPDX-License-Identifier: Apache-2.0
//
// How the raw contenders wait for a word of shared memory to change: three policies, each the best
// at its job, that the floors and the bare ring take as a template argument.
#pragma once

#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>
#include <sched.h>

#include "bench/futex.hpp"
#include "transport/shm/waiting.hpp"

namespace bulkhead::bench {

/// A counter on a line of its own, 128 bytes from the next: the adjacent-line prefetcher fetches
/// pairs.
struct alignas(128) Counter {
  std::atomic<std::uint64_t> value{0};
};
static_assert(sizeof(Counter) == 128);

/// Both sides poll hard, for two cores.
struct Spin {
  static void raise(Counter& counter, std::uint64_t value) noexcept {
    // ORDER(bench.raise): what was written before is complete; pairs with ORDER(bench.await). Not
    // stronger: nobody decides by this word and another whether to sleep.
    counter.value.store(value, std::memory_order_release);
  }
  static std::uint64_t await(const Counter& counter, std::uint64_t seen) noexcept {
    std::uint64_t value = 0;
    do {
      // ORDER(bench.await): sees all that was written before; pairs with ORDER(bench.raise).
      value = counter.value.load(std::memory_order_acquire);
    } while (value == seen);
    return value;
  }
};

/// The same with a pause between two polls: a line that is asked for less often moves sooner where the
/// cores are far from each other.
struct SpinGently {
  static void raise(Counter& counter, std::uint64_t value) noexcept { Spin::raise(counter, value); }
  static std::uint64_t await(const Counter& counter, std::uint64_t seen) noexcept {
    for (;;) {
      // ORDER(bench.await): sees all that was written before; pairs with ORDER(bench.raise).
      const std::uint64_t value = counter.value.load(std::memory_order_acquire);
      if (value != seen) return value;
      transport::shm::relax();
    }
  }
};

/// Both sides poll and give the core away in between, for one core.
struct Yield {
  static void raise(Counter& counter, std::uint64_t value) noexcept { Spin::raise(counter, value); }
  static std::uint64_t await(const Counter& counter, std::uint64_t seen) noexcept {
    for (;;) {
      // ORDER(bench.await): sees all that was written before; pairs with ORDER(bench.raise).
      const std::uint64_t value = counter.value.load(std::memory_order_acquire);
      if (value != seen) return value;
      ::sched_yield();
    }
  }
};

/// Both sides sleep at once and wake the other always: futex ping-pong, with no flag and no poll to
/// save a call.
struct Sleep {
  static_assert(std::endian::native == std::endian::little,
                "the futex word is the counter's low half");

  static void raise(Counter& counter, std::uint64_t value) noexcept {
    Spin::raise(counter, value);
    futex_wake(&counter.value);
  }
  static std::uint64_t await(const Counter& counter, std::uint64_t seen) noexcept {
    for (;;) {
      // ORDER(bench.await): sees all that was written before; pairs with ORDER(bench.raise).
      const std::uint64_t value = counter.value.load(std::memory_order_acquire);
      if (value != seen) return value;
      futex_wait(&counter.value, static_cast<std::uint32_t>(seen));
    }
  }
};

/// The same for two cores, where the sides can fall into step: each finds the answer there when it
/// comes back from waking the other, and nobody sleeps any more. Who did not sleep hesitates once,
/// until the other is asleep.
struct SleepApart {
  static void raise(Counter& counter, std::uint64_t value) noexcept {
    if (in_step) hesitate();
    Sleep::raise(counter, value);
  }
  static std::uint64_t await(const Counter& counter, std::uint64_t seen) noexcept {
    // ORDER(bench.await): sees all that was written before; pairs with ORDER(bench.raise).
    const std::uint64_t value = counter.value.load(std::memory_order_acquire);
    in_step = value != seen;
    return in_step ? value : Sleep::await(counter, seen);
  }

 private:
  static void hesitate() noexcept {
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds{10};
    while (std::chrono::steady_clock::now() < until) {
    }
  }
  static inline thread_local bool in_step = false;
};

}  // namespace bulkhead::bench

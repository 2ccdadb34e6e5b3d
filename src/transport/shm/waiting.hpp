// SPDX-License-Identifier: Apache-2.0
//
// WaitPolicy: how to wait, without a setting: spin while it pays, yield when the peer shares our
// processor, else sleep. Decisions only; it reads no clock and makes no call, so that its test can
// play it through. Private to one thread.
//
// What it learns:
//   W        what waking up costs here, from when the peer says that it rang to when we ran
//   recent   which of the last 16 waits would have ended within 4 W of spinning
// Spinning is worth it up to 4 W: after that much think time a sleep adds at most W, which makes
// the round trip at most a quarter longer. (W alone would be the classic choice: twice at worst.)
//
// TRUST: the peer's ring time and processor move only how long we spin, within the bounds below.
#pragma once

#include <chrono>
#include <cstdint>

namespace bulkhead::transport::shm {

class WaitPolicy {
 public:
  using Nanoseconds = std::chrono::nanoseconds;

  enum class Way : std::uint8_t {
    spin,   ///< for spin_for(), then sleep
    yield,  ///< a few times, looking in between, then sleep
    sleep,  ///< at once
  };

  static constexpr Nanoseconds shortest_wake{500};
  static constexpr Nanoseconds longest_wake{200'000};
  static constexpr Nanoseconds short_spin{2'000};
  static constexpr std::uint32_t first_separation = 16;
  static constexpr std::uint32_t last_separation = 4096;

  /// What is known when the link is bound.
  struct Place {
    bool may_move = true;       ///< the thread may run on more than one processor
    bool always_sleep = false;  ///< ShmSetup::always_sleep
  };

  explicit WaitPolicy(Place place) noexcept : place_(place) {}

  /// Before anything else is decided or measured: a hot ring ends its waits here.
  int first_polls() const noexcept { return place_.always_sleep ? 1 : 256; }

  /// For the wait that begins now.
  Way choose(bool peer_on_our_cpu) noexcept;

  /// How long Way::spin spins.
  Nanoseconds spin_for() const noexcept;

  /// It ended without sleeping.
  void awake(Nanoseconds waited) noexcept { remember(waited); }
  /// It ended by being woken, `wake` after the peer rang.
  void woken(Nanoseconds waited, Nanoseconds wake) noexcept;

  Nanoseconds wake_cost() const noexcept { return wake_; }

 private:
  Nanoseconds longest_spin() const noexcept { return 4 * wake_; }
  void remember(Nanoseconds waited) noexcept;

  Nanoseconds wake_{8'000};
  std::uint16_t recent_ = 0xffff;  // a bit each, the latest lowest; spinning is tried first
  Place place_;
  std::uint32_t shared_waits_ = 0;
  std::uint32_t separate_after_ = first_separation;
};

/// 1 + the processor that runs the calling thread; no system call. 0: not known.
std::uint32_t this_cpu() noexcept;

/// The calling thread may run on more than one processor. A system call.
bool may_change_cpu() noexcept;

/// For loops that poll memory.
inline void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" : : : "memory");
#endif
}

}  // namespace bulkhead::transport::shm

// SPDX-License-Identifier: Apache-2.0
//
// Latch: a count in shared memory that goes down to zero once; who waits is let through then, and
// from then on. For "all are ready" and "the work is done". For many rounds there is Barrier.
//
// Who may call: any thread of any process that has the memory. Ownership: lives in a SharedRegion
// (place.hpp). Only the waits block, to their deadline. It does not know who is to count: when one
// of them dies before it did, the waits end at their deadline; a Barrier knows its members. A
// process that dies inside count_down() has counted, with all waiters woken, or has not.
//
// LAYOUT (4 bytes)   written and read by all; TRUST: equal
//   0  4  word       what is left << 1 | asleep
// STATE of the word, each arrow one atomic step; who sleeps has set `asleep` before
//   (n, any)      --count_down(m < n)-->  (n - m, same)
//   (n, -)        --count_down(n)-->      (0, -)
//   (n, asleep)   --count_down(n)-->      (0, -)         with all woken, by the kernel at once
//   (n > 0, -)    --wait-->               (n, asleep), and to sleep
#pragma once

#include <atomic>
#include <cstdint>

#include <bulkhead/deadline.hpp>
#include <bulkhead/detail/export.hpp>
#include <bulkhead/place.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead {

class BULKHEAD_API Latch {
 public:
  /// The largest count.
  static constexpr std::uint32_t most = 1U << 30;

  Latch(Place, std::uint32_t count) noexcept : word_((count < most ? count : most) * one) {}
  Latch(const Latch&) = delete;
  Latch& operator=(const Latch&) = delete;

  /// `invalid` when fewer than that are left; then nothing is counted.
  Result<void> count_down(std::uint32_t by = 1) {
    // ORDER(latch.look): what the earlier ones did is passed on; pairs with ORDER(latch.count).
    std::uint32_t seen = word_.load(std::memory_order_acquire);
    while (seen / one > by || (seen / one == by && (seen & asleep) == 0)) {
      // ORDER(latch.count): what each did before it counted is seen by who is let through; pairs
      // with ORDER(latch.wait). Acquire too, as in ORDER(latch.look), for the last one passes on
      // what the earlier ones did, through a step of the kernel's, which is a full barrier.
      if (word_.compare_exchange_weak(seen, seen - by * one, std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
        return {};
      }
    }
    return finish(by, seen);
  }

  /// Until nothing is left. `timed_out`.
  Result<void> wait(Deadline deadline = never) {
    if (try_wait()) return {};
    return sleep(deadline);
  }

  /// Nothing is left.
  bool try_wait() const noexcept {
    // ORDER(latch.wait): pairs with ORDER(latch.count).
    return word_.load(std::memory_order_acquire) < one;
  }

  Result<void> arrive_and_wait(Deadline deadline = never) {
    auto counted = count_down();
    return counted ? wait(deadline) : counted;
  }

 private:
  static constexpr std::uint32_t asleep = 1;
  static constexpr std::uint32_t one = 2;

  Result<void> finish(std::uint32_t by, std::uint32_t seen);
  Result<void> sleep(Deadline deadline);

  std::atomic<std::uint32_t> word_;
};
static_assert(sizeof(Latch) == 4);

}  // namespace bulkhead

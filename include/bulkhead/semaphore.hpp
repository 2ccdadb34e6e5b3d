// SPDX-License-Identifier: Apache-2.0
//
// Semaphore: a count in shared memory that processes raise and lower; who finds it at zero waits.
// For counting things (free places in a buffer, jobs that are there). Not a lock: nobody owns what
// it took, so nobody gives it back for who died with it. Where that is wanted there are Mutex and,
// for counts, SysvSemaphore with undo.
//
// Who may call: any thread of any process that has the memory. Ownership: lives in a SharedRegion
// (place.hpp). Only wait() blocks, to its deadline; post() makes a system call when somebody sleeps.
//
// When a process dies: in wait() it has taken one or none, in post() given one or none, and it never
// keeps another process asleep. All who sleep are woken by a post, since a single one could be
// killed before it takes what it was woken for; among many sleepers that costs.
//
// LAYOUT (4 bytes)   written and read by all; TRUST: equal
//   0  4  word       count << 1 | asleep
// STATE of the word, each arrow one atomic step; sleepers sleep on (0, asleep) alone
//   (n, -)        --post-->   (n + 1, -)             no system call
//   (n, asleep)   --post-->   (n + 1, asleep)        with all sleepers woken, by the kernel at once
//   (n > 0, any)  --wait-->   (n - 1, -)             nobody sleeps at n > 0, so the mark can go
//   (0, -)        --wait-->   (0, asleep), and to sleep
#pragma once

#include <atomic>
#include <cstdint>

#include <bulkhead/deadline.hpp>
#include <bulkhead/detail/export.hpp>
#include <bulkhead/place.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead {

class BULKHEAD_API Semaphore {
 public:
  /// The largest count.
  static constexpr std::uint32_t most = 1U << 30;

  explicit Semaphore(Place, std::uint32_t count = 0) noexcept
      : word_((count < most ? count : most) * one) {}
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  /// One more. `exhausted` at `most`.
  Result<void> post() {
    // ORDER(semaphore.look): a guess that the exchange below checks; no partner.
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    while ((seen & asleep) == 0 && seen < most * one) {
      // ORDER(semaphore.post): what was done before is seen by who takes this one; pairs with
      // ORDER(semaphore.take). The kernel's step in post_to_sleepers is a full barrier.
      if (word_.compare_exchange_weak(seen, seen + one, std::memory_order_release,
                                      std::memory_order_relaxed)) {
        return {};
      }
    }
    return post_to_sleepers();
  }

  /// One less; waits for it to be there. `timed_out`.
  Result<void> wait(Deadline deadline = never) {
    if (try_wait()) return {};
    return sleep(deadline);
  }

  /// False when there is none.
  bool try_wait() noexcept {
    // ORDER(semaphore.guess): checked by the exchange below; no partner.
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    while (seen >= one) {
      // ORDER(semaphore.take): pairs with ORDER(semaphore.post), also of the posts before the last:
      // each exchange goes on with the release of the one before.
      if (word_.compare_exchange_weak(seen, (seen - one) & ~asleep, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  /// How many there were at some moment of this call.
  std::uint32_t value() const noexcept { return word_.load() / one; }

 private:
  static constexpr std::uint32_t asleep = 1;
  static constexpr std::uint32_t one = 2;

  Result<void> post_to_sleepers();
  Result<void> sleep(Deadline deadline);

  std::atomic<std::uint32_t> word_;
};
static_assert(sizeof(Semaphore) == 4);

}  // namespace bulkhead

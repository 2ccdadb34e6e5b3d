// SPDX-License-Identifier: Apache-2.0
#include <bulkhead/latch.hpp>

#include "os/futex.hpp"

namespace bulkhead {

Result<void> Latch::count_down(std::uint32_t by) {
  // ORDER(latch.look): what the earlier ones did is passed on; pairs with ORDER(latch.count).
  std::uint32_t seen = word_.load(std::memory_order_acquire);
  for (;;) {
    const std::uint32_t left = seen / one;
    if (left < by) {
      return fail(ErrorKind::invalid, {.operation = "count down",
                                       .object = "a latch",
                                       .cause = "less is left than was counted",
                                       .remedy = "count each thing once"});
    }
    if (left == by && (seen & asleep) != 0) {
      os::futex_set_and_wake_all(word_, 0);
      return {};
    }
    // ORDER(latch.count): what each did before it counted is seen by who is let through; pairs with
    // ORDER(latch.wait). Acquire too, as in ORDER(latch.look), for the last one passes on what the
    // earlier ones did, through a step of the kernel's, which is a full barrier.
    if (word_.compare_exchange_weak(seen, seen - by * one, std::memory_order_acq_rel,
                                    std::memory_order_acquire)) {
      return {};
    }
  }
}

Result<void> Latch::sleep(Deadline deadline) {
  for (;;) {
    std::uint32_t seen = word_.load();
    if (seen < one) return {};
    if ((seen & asleep) == 0 && !word_.compare_exchange_strong(seen, seen | asleep)) continue;
    const bool in_time = os::futex_wait(word_, seen | asleep, deadline) && !deadline.expired();
    if (try_wait()) return {};
    if (!in_time) return fail(ErrorKind::timed_out, {.operation = "wait", .object = "a latch"});
  }
}

}  // namespace bulkhead

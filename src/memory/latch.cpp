// SPDX-License-Identifier: Apache-2.0
#include <bulkhead/latch.hpp>

#include "os/futex.hpp"

namespace bulkhead {

/// Counts the last, with somebody asleep; or there are not as many.
Result<void> Latch::finish(std::uint32_t by, std::uint32_t seen) {
  if (seen / one == by) {
    os::futex_set_and_wake_all(word_, 0);
    return {};
  }
  return fail(ErrorKind::invalid, {.operation = "count down",
                                   .object = "a latch",
                                   .cause = "less is left than was counted",
                                   .remedy = "count each thing once"});
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

// SPDX-License-Identifier: Apache-2.0
#include <bulkhead/semaphore.hpp>

#include "os/futex.hpp"

namespace bulkhead {

Result<void> Semaphore::post_to_sleepers() {
  if (word_.load() >= most * one) {
    return fail(ErrorKind::exhausted, {.operation = "post",
                                       .object = "a semaphore",
                                       .cause = "its count is at the maximum",
                                       .remedy = "take as often as you post"});
  }
  // Right whatever the word has become meanwhile; most leaves room for all who passed the check.
  os::futex_add_and_wake_all(word_, one);
  return {};
}

Result<void> Semaphore::sleep(Deadline deadline) {
  for (;;) {
    std::uint32_t seen = word_.load();
    if (seen == 0 && !word_.compare_exchange_strong(seen, asleep)) continue;
    const bool in_time = os::futex_wait(word_, asleep, deadline) && !deadline.expired();
    if (try_wait()) return {};
    if (!in_time) {
      return fail(ErrorKind::timed_out, {.operation = "wait", .object = "a semaphore"});
    }
  }
}

}  // namespace bulkhead

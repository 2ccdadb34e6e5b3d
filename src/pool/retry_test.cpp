// SPDX-License-Identifier: Apache-2.0
#include "pool/retry.hpp"

#include <gtest/gtest.h>

namespace {

using namespace bulkhead;
using pool::Verdict;

const Exit crash = Exit::killed(11, 0x10);
const Exit hang = Exit::of(Exit::Cause::hang, "no result within 1 s");
const Exit memory = Exit::of(Exit::Cause::out_of_memory, "limit 64 MiB");

Verdict verdict_after(std::vector<Exit> exits, Retries retries = {}) {
  detail::Task task;
  task.retries = retries;
  task.exits = std::move(exits);
  return pool::verdict(task);
}

TEST(pool_retry, a_crash_is_tried_once_more_and_then_poison) {
  EXPECT_EQ(verdict_after({crash}), Verdict::again);
  EXPECT_EQ(verdict_after({crash, crash}), Verdict::poisoned);
  EXPECT_EQ(verdict_after({crash}, {.crashes = 0}), Verdict::poisoned);
}

TEST(pool_retry, out_of_memory_is_tried_once_more_alone) {
  EXPECT_EQ(verdict_after({memory}), Verdict::again_alone);
  EXPECT_EQ(verdict_after({memory, memory}), Verdict::poisoned);
  EXPECT_EQ(verdict_after({memory, crash}), Verdict::again);
}

TEST(pool_retry, a_time_limit_is_tried_again_only_where_that_is_asked_for) {
  EXPECT_EQ(verdict_after({hang}), Verdict::timed_out);
  EXPECT_EQ(verdict_after({hang}, {.timeouts = 1}), Verdict::again);
  EXPECT_EQ(verdict_after({crash, hang}), Verdict::poisoned);
}

TEST(pool_retry, exits_are_told_without_what_differs_between_runs) {
  EXPECT_EQ(pool::in_words({crash, Exit::killed(11, 0x2000)}), "SIGSEGV twice");
  EXPECT_EQ(pool::in_words({memory, crash, crash, crash}), "out of memory, then SIGSEGV 3 times");
  EXPECT_EQ(pool::past_limit(std::chrono::milliseconds(1500)), "no result within 1500 ms");
}

}  // namespace

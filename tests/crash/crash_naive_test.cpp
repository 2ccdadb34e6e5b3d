// SPDX-License-Identifier: Apache-2.0
//
// The harness, shown to find what it looks for: two textbook primitives fail it, the library's own
// send passes. A harness that finds nothing anywhere would prove nothing.
#include <gtest/gtest.h>

#include "crash/crash_report.hpp"
#include "crash/victim.hpp"

namespace bulkhead::crash {
namespace {

class crash_harness : public testing::Test {
 protected:
  void SetUp() override {
    prepare_tracing();
    if (const auto why_not = Victim::why_not(); !why_not.empty()) {
      GTEST_SKIP() << "no process can be traced here: " << why_not;
    }
  }

  static Outcome kill_at_every_instruction(const std::string& name) {
    for (const auto& operation : all_operations()) {
      if (operation.name != name) continue;
      auto outcome = explore(operation, {.every = true});
      print_head(std::cout);
      print_row(std::cout, outcome);
      return outcome;
    }
    ADD_FAILURE() << "no operation " << name;
    return {};
  }
};

TEST_F(crash_harness, finds_that_a_ring_of_many_producers_dies_with_one) {
  const auto outcome = kill_at_every_instruction("naive: push to a ring of many producers");
  EXPECT_EQ(outcome.deaths, outcome.instructions + 1);
  EXPECT_GT(outcome.violations, 0U);
  EXPECT_LT(outcome.violations, outcome.deaths) << "before the claim and after the end all is well";
}

TEST_F(crash_harness, finds_that_a_lock_is_kept_by_the_dead) {
  const auto outcome = kill_at_every_instruction("naive: push to a queue behind a lock");
  EXPECT_GT(outcome.violations, 0U);
  EXPECT_LT(outcome.violations, outcome.deaths);
}

TEST_F(crash_harness, finds_the_moments_between_a_claim_and_the_name_of_its_owner) {
  const auto outcome =
      kill_at_every_instruction("naive: push to a queue behind a lock with an owner");
  EXPECT_GT(outcome.violations, 0U);
  EXPECT_LT(outcome.violations, outcome.deaths / 2) << "it does take itself over from the dead";
}

TEST_F(crash_harness, finds_that_a_wake_up_is_lost_with_the_one_who_got_it) {
  const auto outcome = kill_at_every_instruction("naive: wait for a semaphore that wakes one");
  EXPECT_GT(outcome.violations, 0U);
  EXPECT_LT(outcome.violations, outcome.deaths / 2)
      << "before its sleep and with a token it is well";
}

TEST_F(crash_harness, finds_nothing_in_a_lock_and_its_unlocking) {
  const auto outcome = kill_at_every_instruction("mutex: lock, change, unlock");
  EXPECT_EQ(outcome.deaths, outcome.instructions + 1);
  for (const auto& example : outcome.examples) ADD_FAILURE() << example;
}

TEST_F(crash_harness, finds_nothing_in_a_send_through_shm) {
  const auto outcome = kill_at_every_instruction("shm: send, half full");
  EXPECT_EQ(outcome.deaths, outcome.instructions + 1);
  EXPECT_GE(outcome.states, 3U);
  for (const auto& example : outcome.examples) ADD_FAILURE() << example;
}

}  // namespace
}  // namespace bulkhead::crash

// SPDX-License-Identifier: Apache-2.0
//
// The policy is played through with times that nobody measured.
#include "transport/shm/waiting.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <thread>

namespace bulkhead::transport::shm {
namespace {

using namespace std::chrono_literals;
using Way = WaitPolicy::Way;

TEST(shm_waiting, spins_for_four_wake_costs_while_waits_end_within_it) {
  WaitPolicy policy{{.may_move = true}};
  EXPECT_EQ(policy.choose(false), Way::spin);
  EXPECT_EQ(policy.spin_for(), 4 * policy.wake_cost());
  for (int i = 0; i < 100; ++i) policy.awake(1us);
  EXPECT_EQ(policy.spin_for(), 4 * policy.wake_cost());
}

TEST(shm_waiting, spins_shortly_once_fewer_than_4_of_16_waits_were_short) {
  WaitPolicy policy{{.may_move = true}};
  for (int i = 0; i < 12; ++i) policy.woken(10ms, 8us);
  EXPECT_EQ(policy.spin_for(), 4 * policy.wake_cost()) << "4 of the first 16 still count";
  policy.woken(10ms, 8us);
  EXPECT_EQ(policy.spin_for(), WaitPolicy::short_spin);
}

TEST(shm_waiting, spins_again_when_sleeps_turn_out_short) {
  WaitPolicy policy{{.may_move = true}};
  for (int i = 0; i < 16; ++i) policy.woken(10ms, 8us);
  EXPECT_EQ(policy.spin_for(), WaitPolicy::short_spin);
  // Woken after 30 us, 8 of them the waking itself: spinning for 32 would have seen it.
  for (int i = 0; i < 4; ++i) policy.woken(30us, 8us);
  EXPECT_EQ(policy.spin_for(), 4 * policy.wake_cost());
}

TEST(shm_waiting, learns_the_wake_cost_in_eighths) {
  WaitPolicy policy{{.may_move = true}};
  const auto before = policy.wake_cost();
  policy.woken(1ms, before + 800ns);
  EXPECT_EQ(policy.wake_cost(), before + 100ns);
  for (int i = 0; i < 200; ++i) policy.woken(1ms, 50us);
  EXPECT_NEAR(static_cast<double>(policy.wake_cost().count()), 50'000, 100);
}

TEST(shm_waiting, is_moved_by_a_lying_peer_only_within_bounds) {
  WaitPolicy policy{{.may_move = true}};
  for (int i = 0; i < 1000; ++i) policy.woken(1ms, std::chrono::nanoseconds::max());
  EXPECT_LE(policy.wake_cost(), WaitPolicy::longest_wake);
  EXPECT_LE(policy.spin_for(), 4 * WaitPolicy::longest_wake);
  for (int i = 0; i < 1000; ++i) policy.woken(1ms, std::chrono::nanoseconds::min());
  EXPECT_GE(policy.wake_cost(), WaitPolicy::shortest_wake);
}

TEST(shm_waiting, yields_to_a_peer_on_the_same_processor_and_never_spins) {
  WaitPolicy policy{{.may_move = false}};
  for (int i = 0; i < 100'000; ++i) ASSERT_EQ(policy.choose(true), Way::yield);
}

TEST(shm_waiting, sleeps_ever_more_rarely_to_be_moved_to_a_processor_of_its_own) {
  WaitPolicy policy{{.may_move = true}};
  int waits = 0;
  for (int expected = 16; expected <= 4096; expected *= 2) {
    int since = 1;
    while (policy.choose(true) == Way::yield) ++since;
    EXPECT_EQ(since, expected);
    waits += since;
  }
  int since = 1;
  while (policy.choose(true) == Way::yield) ++since;
  EXPECT_EQ(since, 4096) << "the rarest";
}

TEST(shm_waiting, knows_the_processor_that_runs_it_without_a_system_call) {
  std::thread pinned{[] {
    cpu_set_t set;
    CPU_ZERO(&set);
    ASSERT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &set)) continue;
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
      EXPECT_EQ(this_cpu(), static_cast<std::uint32_t>(cpu) + 1);
      EXPECT_FALSE(may_change_cpu());
    }
  }};
  pinned.join();
}

}  // namespace
}  // namespace bulkhead::transport::shm

// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <gtest/gtest.h>
#include <limits>
#include <ratio>

#include <bulkhead/deadline.hpp>

#include "os/poll.hpp"

namespace bulkhead {
namespace {

using namespace std::chrono_literals;

TEST(deadline, is_made_of_any_duration_and_lies_that_far_ahead) {
  const auto before = Deadline::Clock::now();
  const Deadline in_an_hour = 1h;
  const auto after = Deadline::Clock::now();
  EXPECT_GE(in_an_hour.at(), before + 1h);
  EXPECT_LE(in_an_hour.at(), after + 1h + 1us);
  EXPECT_FALSE(in_an_hour.expired());
  EXPECT_LE(in_an_hour.remaining(), 1h + 1us);
  const Deadline fraction = std::chrono::duration<double>(0.5);
  EXPECT_LE(fraction.remaining(), 500ms + 1us);
}

TEST(deadline, that_is_never_does_not_come) {
  EXPECT_TRUE(never.is_never());
  EXPECT_FALSE(never.expired());
  EXPECT_EQ(never.remaining(), std::chrono::nanoseconds::max());
  EXPECT_EQ(Deadline::never(), never);
}

TEST(deadline, of_no_or_negative_time_has_expired) {
  for (const Deadline deadline :
       {Deadline{0s}, Deadline{-1s}, Deadline{std::chrono::hours::min()}}) {
    EXPECT_TRUE(deadline.expired());
    EXPECT_EQ(deadline.remaining(), 0ns);
    EXPECT_FALSE(deadline.is_never());
  }
}

TEST(deadline, too_far_to_represent_is_never) {
  EXPECT_TRUE(Deadline{std::chrono::hours::max()}.is_never());
  EXPECT_TRUE(Deadline{std::chrono::seconds::max()}.is_never());
  using Years = std::chrono::duration<double, std::ratio<31'556'952>>;
  EXPECT_TRUE(Deadline{Years{1e30}}.is_never());
  EXPECT_FALSE(Deadline{Years{50}}.is_never());
}

TEST(deadline, compares_by_time_and_the_earlier_wins) {
  const Deadline soon = 1s;
  const Deadline late = 1h;
  EXPECT_LT(soon, late);
  EXPECT_LT(late, never);
  EXPECT_EQ(earlier(late, soon), soon);
  EXPECT_EQ(earlier(never, late), late);
  EXPECT_EQ(earlier(never, never), never);
  EXPECT_EQ(earlier(soon, os::no_wait), os::no_wait);
}

TEST(deadline, that_means_do_not_wait_has_expired) {
  EXPECT_TRUE(os::no_wait.expired());
  EXPECT_EQ(os::no_wait.remaining(), 0ns);
}

}  // namespace
}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
//
// Latch between processes: who is let through, who is killed meanwhile, and forged words.
#include <gtest/gtest.h>
#include <random>

#include <bulkhead/latch.hpp>
#include <bulkhead/shared.hpp>

#include "support/forked.hpp"
#include "support/soak.hpp"
#include "support/watchdog.hpp"

namespace bulkhead {
namespace {

using namespace std::chrono_literals;
using test::Forked;
using test::soaked;
using test::waiting_for;

Shared<Latch> make(std::uint32_t count) {
  return or_throw(Shared<Latch>::create({.name = "latch"}, count));
}

TEST(latch, lets_through_at_zero_and_ever_after) {
  auto latch = make(2);
  EXPECT_EQ(latch->wait(1ms).error(), ErrorKind::timed_out);
  EXPECT_TRUE(latch->count_down().has_value());
  EXPECT_FALSE(latch->try_wait());
  EXPECT_TRUE(latch->count_down().has_value());
  EXPECT_TRUE(latch->try_wait());
  EXPECT_TRUE(latch->wait().has_value());
}

TEST(latch, counting_more_than_is_left_is_refused_and_counts_nothing) {
  auto latch = make(2);
  EXPECT_EQ(latch->count_down(3).error(), ErrorKind::invalid);
  EXPECT_TRUE(latch->count_down(2).has_value());
  EXPECT_EQ(latch->count_down().error(), ErrorKind::invalid);
}

struct Work {
  explicit Work(Place place) : all_done(place, 3) {}
  Latch all_done;
  int results[3] = {};
};

TEST(latch, who_is_let_through_sees_what_each_did_before_it_counted) {
  for (int round = 0; round < soaked(30); ++round) {
    auto work = or_throw(Shared<Work>::create());
    const auto part = [&](int index) {
      return [&work, index] {
        work->results[index] = index + 1;
        return work->all_done.arrive_and_wait(60s) &&
                       work->results[0] + work->results[1] + work->results[2] == 6
                   ? 0
                   : 1;
      };
    };
    auto waiting = waiting_for("three that count");
    Forked one{part(0)};
    Forked two{part(1)};
    Forked three{part(2)};
    EXPECT_EQ(one.wait() + two.wait() + three.wait(), 0);
  }
}

TEST(latch, one_that_dies_asleep_or_counting_keeps_no_other_asleep) {
  for (int round = 0; round < soaked(20); ++round) {
    auto latch = make(1000);
    const auto wait = [&] { return latch->wait(60s) ? 0 : 1; };
    Forked victim{wait};
    Forked other{wait};
    auto waiting = waiting_for("two sleepers; then the one that lives");
    victim.until_asleep();
    other.until_asleep();
    Forked counter{[&] {
      while (latch->count_down()) {
      }
    }};
    victim.kill();
    counter.kill();
    while (latch->count_down()) {
    }
    ASSERT_EQ(other.wait(), 0);
  }
}

/// At once; for some, in a while that shows whether it is kept.
Deadline soon(int i) {
  return i % 500 == 0 ? Deadline{1ms} : Deadline{Deadline::Clock::time_point::min()};
}

TEST(latch, no_word_crashes_a_process_or_keeps_it_beyond_its_deadline) {
  auto latch = make(0);
  Forked victim{[&] {
    auto random = [engine = std::mt19937{7}]() mutable {
      return static_cast<std::uint32_t>(engine());
    };
    auto& word = reinterpret_cast<std::atomic<std::uint32_t>&>(*latch);
    for (int i = 0; i < soaked(100'000); ++i) {
      const std::uint32_t forged = i < 64 ? static_cast<std::uint32_t>(i) : random();
      word = forged;
      if (latch->wait(soon(i)).has_value() != (forged < 2)) return 1;
      static_cast<void>(latch->count_down(i % 2 == 0 ? 1 : random()));
      if (i % 8 == 0) static_cast<void>(latch->arrive_and_wait(soon(i)));
    }
    return 0;
  }};
  auto waiting = waiting_for("calls on random words");
  EXPECT_EQ(victim.wait(), 0);
}

}  // namespace
}  // namespace bulkhead

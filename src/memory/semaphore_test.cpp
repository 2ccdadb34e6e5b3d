// SPDX-License-Identifier: Apache-2.0
//
// Semaphore between processes: killed while they wait and in the hand-over, at the ends of its range,
// and with a forged word (A7, A9, F1, F2, F4 of the threat list).
#include <csignal>
#include <gtest/gtest.h>
#include <random>
#include <sys/time.h>
#include <vector>

#include <bulkhead/semaphore.hpp>
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

using SharedSemaphore = Shared<Semaphore>;

SharedSemaphore make(std::uint32_t count) {
  return or_throw(SharedSemaphore::create({.name = "semaphore"}, count));
}

std::atomic<std::uint32_t>& word_of(Semaphore& semaphore) {
  return reinterpret_cast<std::atomic<std::uint32_t>&>(semaphore);
}

TEST(semaphore, counts) {
  auto semaphore = make(2);
  EXPECT_TRUE(semaphore->try_wait());
  EXPECT_TRUE(semaphore->wait().has_value());
  EXPECT_FALSE(semaphore->try_wait());
  EXPECT_TRUE(semaphore->post().has_value());
  EXPECT_EQ(semaphore->value(), 1);
}

TEST(semaphore, a_wait_ends_at_its_deadline) {
  auto semaphore = make(0);
  EXPECT_EQ(semaphore->wait(2ms).error(), ErrorKind::timed_out);
  EXPECT_EQ(semaphore->wait(Deadline{Deadline::Clock::time_point::min()}).error(),
            ErrorKind::timed_out);
  EXPECT_EQ(semaphore->value(), 0);
}

TEST(semaphore, a_post_beyond_the_largest_count_is_refused_and_counts_nothing) {
  auto semaphore = make(Semaphore::most - 1);
  EXPECT_TRUE(semaphore->post().has_value());
  EXPECT_EQ(semaphore->post().error(), ErrorKind::exhausted);
  EXPECT_EQ(semaphore->value(), Semaphore::most);
  EXPECT_TRUE(semaphore->try_wait());
  EXPECT_EQ(semaphore->value(), Semaphore::most - 1);
}

TEST(semaphore, every_post_is_taken_once_by_some_process) {
  constexpr int each = 2000;
  auto semaphore = make(0);
  auto waiting = waiting_for("two takers");
  const auto take = [&] {
    for (int i = 0; i < each; ++i) or_throw(semaphore->wait(60s));
  };
  Forked one{take};
  Forked two{take};
  for (int i = 0; i < 2 * each; ++i) or_throw(semaphore->post());
  EXPECT_EQ(one.wait(), 0);
  EXPECT_EQ(two.wait(), 0);
  EXPECT_EQ(semaphore->value(), 0);
}

TEST(semaphore, a_signal_neither_ends_a_wait_nor_moves_its_deadline) {
  auto semaphore = make(0);
  Forked waiter{[&] {
    struct sigaction action{};
    action.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &action, nullptr);
    const itimerval often{.it_interval = {0, 1000}, .it_value = {0, 1000}};
    ::setitimer(ITIMER_REAL, &often, nullptr);
    const auto start = Deadline::Clock::now();
    const bool ended = semaphore->wait(30ms).error() == ErrorKind::timed_out;
    return ended && Deadline::Clock::now() - start >= 30ms ? 0 : 1;
  }};
  EXPECT_EQ(waiter.wait(), 0);
}

TEST(semaphore, a_waiter_killed_in_its_sleep_takes_nothing_and_keeps_no_mark) {
  auto semaphore = make(0);
  Forked victim{[&] { return semaphore->wait(60s).has_value(); }};
  auto waiting = waiting_for("the waiter asleep");
  victim.until_asleep();
  victim.kill();
  EXPECT_TRUE(semaphore->post().has_value());
  EXPECT_EQ(semaphore->value(), 1);
  EXPECT_TRUE(semaphore->try_wait());
  EXPECT_EQ(word_of(*semaphore), 0);  // from here on no post makes a system call
}

/// One of several sleepers is killed at the moment of the post: another one must get it.
TEST(semaphore, one_that_is_killed_when_it_is_woken_keeps_no_other_asleep) {
  for (int round = 0; round < soaked(20); ++round) {
    auto semaphore = make(0);
    const auto take = [&] { return semaphore->wait(60s) ? 0 : 1; };
    Forked victim{take};
    Forked other{take};
    auto waiting = waiting_for("two sleepers; then the one that lives");
    victim.until_asleep();
    other.until_asleep();
    or_throw(semaphore->post());
    victim.kill();
    other.until_asleep();  // or ended
    ASSERT_TRUE(other.has_ended() || semaphore->value() == 0);
    or_throw(semaphore->post());  // the victim may have had the first
    ASSERT_EQ(other.wait(), 0);
  }
}

TEST(semaphore, a_poster_killed_at_random_gives_or_does_not_and_nobody_sleeps_beside_a_token) {
  for (int round = 0; round < soaked(20); ++round) {
    auto semaphore = make(0);
    Forked waiter{[&] { return semaphore->wait(60s) ? 0 : 1; }};
    waiter.until_asleep();
    Forked poster{[&] {
      for (;;) static_cast<void>(semaphore->post());
    }};
    auto waiting = waiting_for("a waiter whose poster is killed");
    while (semaphore->value() == 0 && word_of(*semaphore) == 1) {
    }
    poster.kill();
    ASSERT_EQ(waiter.wait(), 0);
  }
}

/// At once; for some, in a while that shows whether it is kept.
Deadline soon(int i) {
  return i % 500 == 0 ? Deadline{1ms} : Deadline{Deadline::Clock::time_point::min()};
}

TEST(semaphore, no_word_crashes_a_process_or_keeps_it_beyond_its_deadline) {
  auto semaphore = make(0);
  Forked victim{[&] {
    auto random = [engine = std::mt19937{7}]() mutable {
      return static_cast<std::uint32_t>(engine());
    };
    for (int i = 0; i < soaked(100'000); ++i) {
      const std::uint32_t word = i < 64 ? static_cast<std::uint32_t>(i) : random();
      word_of(*semaphore) = i % 3 == 0 ? word & 1 : word;
      const bool taken = semaphore->wait(soon(i)).has_value();
      static_cast<void>(semaphore->post());
      static_cast<void>(semaphore->try_wait());
      if (taken != ((i % 3 == 0 ? word & 1 : word) >= 2)) return 1;
    }
    return 0;
  }};
  auto waiting = waiting_for("calls on random words");
  EXPECT_EQ(victim.wait(), 0);
}

}  // namespace
}  // namespace bulkhead

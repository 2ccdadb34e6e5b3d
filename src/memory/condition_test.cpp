// SPDX-License-Identifier: Apache-2.0
//
// Condition between processes: waiters and owners that die, no wake-up lost under load, deadlines,
// a number that wraps, forged numbers (A9, F1 to F4, F30 of the threat list).
#include <array>
#include <csignal>
#include <gtest/gtest.h>
#include <optional>
#include <random>
#include <sys/time.h>
#include <thread>
#include <vector>

#include <bulkhead/condition.hpp>
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

struct Inbox {
  explicit Inbox(Place place, Mutex::Relock relock = Mutex::Relock::refused)
      : lock(place, "inbox", relock), other(place, "other"), changed(place) {}

  /// For who puts in and takes out; a death in between leaves nothing half done.
  Mutex::Guard locked() {
    auto held = or_throw(lock.lock());
    held.repaired();
    return held;
  }
  void put() {
    auto held = locked();
    ++count;
    held.unlock();
    changed.notify_one();
  }
  /// Until there is one.
  void take() {
    auto held = locked();
    for (;;) {
      const auto there = changed.wait(held, [&] { return count != 0; });
      if (there) break;
      if (there.error() != ErrorKind::peer_died) ::_exit(9);
      held.repaired();
    }
    --count;
    ++taken;
  }

  Mutex lock;
  Mutex other;
  Condition changed;
  std::uint64_t count = 0;
  std::uint64_t taken = 0;
};
using SharedInbox = Shared<Inbox>;

SharedInbox make(Mutex::Relock relock = Mutex::Relock::refused) {
  return or_throw(SharedInbox::create({.name = "inbox"}, relock));
}

/// {sequence, waiters}
std::atomic<std::uint32_t>* words_of(Condition& condition) {
  return reinterpret_cast<std::atomic<std::uint32_t>*>(&condition);
}

TEST(condition, a_change_in_another_process_wakes_who_waits) {
  auto inbox = make();
  Forked waiter{[&] { inbox->take(); }};
  waiter.until_asleep();
  inbox->put();
  EXPECT_EQ(waiter.wait(), 0);
  EXPECT_EQ(inbox->taken, 1U);
  EXPECT_EQ(inbox->lock.owner(), 0U);
}

TEST(condition, one_notification_is_enough_for_all_who_can_go_on) {
  auto inbox = make();
  Forked first{[&] { inbox->take(); }};
  Forked second{[&] { inbox->take(); }};
  first.until_asleep();
  second.until_asleep();
  auto held = inbox->locked();
  inbox->count = 2;
  inbox->changed.notify_all();
  held.unlock();
  EXPECT_EQ(first.wait(), 0);
  EXPECT_EQ(second.wait(), 0);
}

TEST(condition, a_wait_ends_at_its_deadline_with_the_lock_whatever_signals_come) {
  auto inbox = make();
  Forked waiter{[&] {
    struct sigaction nothing{};
    nothing.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &nothing, nullptr);
    const itimerval storm{.it_interval = {0, 200}, .it_value = {0, 200}};
    ::setitimer(ITIMER_REAL, &storm, nullptr);
    auto held = inbox->locked();
    const Deadline deadline{20ms};
    const auto late = inbox->changed.wait(held, [] { return false; }, deadline);
    return late.error() == ErrorKind::timed_out && held.holds() && deadline.expired() ? 0 : 1;
  }};
  EXPECT_EQ(waiter.wait(), 0);
}

TEST(condition, a_predicate_that_holds_at_the_deadline_is_no_time_out) {
  auto inbox = make();
  auto held = inbox->locked();
  int asked = 0;
  EXPECT_TRUE(inbox->changed.wait(held, [&] { return ++asked > 1; }, 1ms));
}

TEST(condition, a_deadline_holds_while_another_keeps_the_lock) {
  auto inbox = make();
  auto held = inbox->locked();
  Forked keeper{[&] {
    auto theirs = inbox->locked();  // handed over by the wait
    for (;;) ::pause();
  }};
  keeper.until_asleep();
  const auto late = inbox->changed.wait(held, 5ms);
  EXPECT_EQ(late.error(), ErrorKind::timed_out);
  EXPECT_FALSE(held.holds());
}

TEST(condition, an_owner_that_died_meanwhile_is_told_by_the_wait) {
  auto inbox = make();
  Forked waiter{[&] {
    auto held = inbox->locked();
    const auto woken = inbox->changed.wait(held);
    const bool told = woken.error() == ErrorKind::peer_died && held.owner_died();
    const auto again = inbox->changed.wait(held);
    const bool refused = again.error() == ErrorKind::invalid && held.holds();
    held.repaired();
    return told && refused ? 0 : 1;
  }};
  waiter.until_asleep();
  Forked dies{[&] {
    auto held = or_throw(inbox->lock.lock());
    inbox->changed.notify_all();
    ::_exit(0);
  }};
  dies.wait();
  EXPECT_EQ(waiter.wait(), 0);
}

TEST(condition, a_guard_without_the_lock_cannot_wait) {
  auto inbox = make();
  auto held = inbox->locked();
  Forked child{
      [&] { return inbox->changed.wait(held, 1ms).error() == ErrorKind::invalid ? 0 : 1; }};
  EXPECT_EQ(child.wait(), 0);
  held.unlock();
  EXPECT_EQ(inbox->changed.wait(held, 1ms).error(), ErrorKind::invalid);
}

TEST(condition, a_recursive_lock_is_given_up_wholly_and_got_back_as_often) {
  auto inbox = make(Mutex::Relock::allowed);
  auto outer = inbox->locked();
  auto inner = inbox->locked();
  Forked other{[&] {
    auto held = inbox->locked();
    inbox->count = 1;
    inbox->changed.notify_one();
  }};
  EXPECT_TRUE(inbox->changed.wait(inner, [&] { return inbox->count == 1; }));
  EXPECT_EQ(other.wait(), 0);
  inner.unlock();
  EXPECT_NE(inbox->lock.owner(), 0U);
  outer.unlock();
  EXPECT_EQ(inbox->lock.owner(), 0U);
}

TEST(condition, a_waiter_killed_in_its_sleep_keeps_nobody) {
  auto inbox = make();
  Forked dies{[&] { inbox->take(); }};
  dies.until_asleep();
  Forked waiter{[&] { inbox->take(); }};
  waiter.until_asleep();
  dies.kill();
  inbox->put();
  EXPECT_EQ(waiter.wait(), 0);
}

TEST(condition, a_waiter_killed_before_it_has_looked_takes_no_wake_up_with_it) {
  // Both are woken, or the first alone; it dies on its way to the lock.
  auto inbox = make();
  Forked dies{[&] { inbox->take(); }};
  dies.until_asleep();
  Forked waiter{[&] { inbox->take(); }};
  waiter.until_asleep();
  auto held = inbox->locked();
  ++inbox->count;
  inbox->changed.notify_one();
  // Asleep again, over the lock.
  while (words_of(inbox->changed)[1] != 0) std::this_thread::yield();
  dies.until_asleep();
  dies.kill();
  held.unlock();
  EXPECT_EQ(waiter.wait(), 0);
}

TEST(condition, no_wake_up_is_lost_while_waiters_are_killed_at_random) {
  auto inbox = make();
  const int items = soaked(4'000);
  const auto take = [&] {
    for (;;) inbox->take();
  };
  const auto put = [&] {
    for (int i = 0; i < items; ++i) inbox->put();
  };
  std::array<std::optional<Forked>, 3> takers;
  for (auto& taker : takers) taker.emplace(take);
  Forked first{put};
  Forked second{put};
  std::minstd_rand random{6};
  for (int kill = 0; kill < soaked(60); ++kill) {
    auto& victim = takers[random() % (takers.size() - 1)];
    EXPECT_EQ(victim->kill(), 128 + SIGKILL);
    victim.reset();
    victim.emplace(take);
  }
  auto waiting = waiting_for("what was put in to be taken out");
  EXPECT_EQ(first.wait(), 0);
  EXPECT_EQ(second.wait(), 0);
  // No more notifications: who sleeps over what is there sleeps for ever.
  const auto left = [&] {
    const auto held = inbox->locked();
    return inbox->count;
  };
  while (left() != 0) std::this_thread::yield();
  for (auto& taker : takers) EXPECT_EQ(taker->kill(), 128 + SIGKILL);
}

TEST(condition, two_processes_take_turns_over_the_wrap_of_the_number) {
  auto inbox = make();
  words_of(inbox->changed)[0] = UINT32_MAX - 100;
  const auto turns = [&](std::uint64_t mine) {
    for (std::uint64_t turn = mine; turn < 1'000; turn += 2) {
      auto held = inbox->locked();
      or_throw(inbox->changed.wait(held, [&] { return inbox->count == turn; }));
      ++inbox->count;
      inbox->changed.notify_one();
    }
  };
  Forked other{[&] { turns(1); }};
  auto waiting = waiting_for("the other's turn");
  turns(0);
  EXPECT_EQ(other.wait(), 0);
  EXPECT_LT(words_of(inbox->changed)[0], 1'000U) << "did not wrap";
}

TEST(condition, forged_numbers_never_keep_anybody_beyond_the_deadline) {
  auto inbox = make();
  Forked vandal{[&] {
    std::minstd_rand random{9};
    for (;;) words_of(inbox->changed)[random() % 2] = static_cast<std::uint32_t>(random());
  }};
  Forked waiter{[&] {
    for (int i = 0; i < soaked(10'000); ++i) {
      auto held = inbox->locked();
      static_cast<void>(inbox->changed.wait(held, 20us));
      inbox->changed.notify_one();
    }
  }};
  auto waiting = waiting_for("a wait whose numbers are forged");
  EXPECT_EQ(waiter.wait(), 0);
}

TEST(condition_threaded, threads_of_one_process_hand_on) {
  auto inbox = make();
  std::thread taker{[&] {
    for (int i = 0; i < 1'000; ++i) inbox->take();
  }};
  std::thread other{[&] {
    for (int i = 0; i < 500; ++i) inbox->put();
  }};
  for (int i = 0; i < 500; ++i) inbox->put();
  taker.join();
  other.join();
  EXPECT_EQ(inbox->taken, 1'000U);
  EXPECT_EQ(inbox->count, 0U);
}

}  // namespace
}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
//
// Mutex between processes: owners that die holding, waiting and in the hand-over, leaders that exit
// before their threads, forks, storms of signals, forged words (A7, F1 to F4, F22 of the threat list).
#include <array>
#include <csignal>
#include <gtest/gtest.h>
#include <mutex>
#include <optional>
#include <pthread.h>
#include <random>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <thread>
#include <type_traits>
#include <vector>

#include <bulkhead/mutex.hpp>
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

/// Two numbers that are the same whenever nobody has the lock.
struct Twins {
  explicit Twins(Place place, Mutex::Relock relock = Mutex::Relock::refused)
      : lock(place, "twins", relock), other(place, "other") {}
  Mutex lock;
  Mutex other;
  std::atomic<std::uint32_t> step{0};
  std::uint64_t first = 0;
  std::uint64_t second = 0;
};
using SharedTwins = Shared<Twins>;

SharedTwins make(Mutex::Relock relock = Mutex::Relock::refused) {
  return or_throw(SharedTwins::create({.name = "twins"}, relock));
}

// A8: nothing but shared memory of equals makes a Place, and nothing but a Place a lock.
static_assert(!std::is_default_constructible_v<Mutex> && !std::is_default_constructible_v<Place>);
static_assert(!std::is_constructible_v<Mutex, const char*>);
static_assert(!std::is_copy_constructible_v<Mutex> && !std::is_move_constructible_v<Mutex>);

/// Until all of the others are at this step.
void until(const std::atomic<std::uint32_t>& step, std::uint32_t value) {
  while (step < value) std::this_thread::yield();
}

std::atomic<std::uint32_t>& word_of(Mutex& mutex) {
  return reinterpret_cast<std::atomic<std::uint32_t>&>(mutex);
}

/// A child that locks and is killed with it.
void die_with(Twins& twins) {
  Forked owner{[&] {
    auto held = or_throw(twins.lock.lock());
    twins.first += 1;
    twins.step = 1;
    ::pause();
  }};
  until(twins.step, 1);
  owner.kill();
  twins.step = 0;
}

TEST(mutex, another_process_gets_it_when_it_is_unlocked) {
  auto twins = make();
  auto held = or_throw(twins->lock.lock());
  EXPECT_EQ(twins->lock.owner(), static_cast<std::uint32_t>(::gettid()));
  Forked other{[&] { return twins->lock.lock()->owner_died() ? 1 : 0; }};
  other.until_asleep();
  held.unlock();
  EXPECT_FALSE(held.holds());
  EXPECT_EQ(other.wait(), 0);
  EXPECT_EQ(twins->lock.owner(), 0U);
}

TEST(mutex, who_has_it_cannot_lock_it_again) {
  auto twins = make();
  auto held = or_throw(twins->lock.lock());
  const auto again = twins->lock.lock();
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error(), ErrorKind::deadlock);
  EXPECT_NE(again.error().sentence().find("twins"), std::string::npos) << again.error();
  EXPECT_EQ(twins->lock.try_lock().error(), ErrorKind::deadlock);
}

TEST(mutex, a_recursive_one_is_unlocked_as_often_as_it_was_locked) {
  auto twins = make(Mutex::Relock::allowed);
  auto outer = or_throw(twins->lock.lock());
  auto inner = or_throw(twins->lock.lock());
  outer.unlock();
  Forked other{[&] { return twins->lock.try_lock() ? 1 : 0; }};
  EXPECT_EQ(other.wait(), 0);
  inner.unlock();
  EXPECT_EQ(twins->lock.owner(), 0U);
}

TEST(mutex, try_lock_tells_who_has_it) {
  auto twins = make();
  auto held = or_throw(twins->lock.lock());
  Forked other{[&] {
    const auto tried = twins->lock.try_lock();
    return !tried && tried.error() == ErrorKind::full &&
                   tried.error().cause().find(std::to_string(::getppid())) != std::string::npos
               ? 0
               : 1;
  }};
  EXPECT_EQ(other.wait(), 0);
}

TEST(mutex, a_wait_ends_at_its_deadline_whatever_signals_come) {
  auto twins = make();
  auto held = or_throw(twins->lock.lock());
  Forked other{[&] {
    struct sigaction nothing{};
    nothing.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &nothing, nullptr);
    const itimerval storm{.it_interval = {0, 200}, .it_value = {0, 200}};
    ::setitimer(ITIMER_REAL, &storm, nullptr);
    const Deadline deadline{20ms};
    const auto late = twins->lock.lock(deadline);
    const auto past = twins->lock.lock(Deadline{Deadline::Clock::time_point::min()});
    return late.error() == ErrorKind::timed_out && past.error() == ErrorKind::timed_out &&
                   deadline.expired()
               ? 0
               : 1;
  }};
  EXPECT_EQ(other.wait(), 0);
}

TEST(mutex, the_next_owner_is_told_of_a_death_and_repairs) {
  auto twins = make();
  die_with(*twins);
  {
    auto held = or_throw(twins->lock.lock());
    EXPECT_TRUE(held.owner_died());
    EXPECT_NE(twins->first, twins->second);
    twins->second = twins->first;
    held.repaired();
    EXPECT_FALSE(held.owner_died());
  }
  auto held = or_throw(twins->lock.try_lock());
  EXPECT_FALSE(held.owner_died());
}

TEST(mutex, try_lock_gets_what_a_dead_owner_left) {
  auto twins = make();
  die_with(*twins);
  auto held = or_throw(twins->lock.try_lock());
  EXPECT_TRUE(held.owner_died());
  held.repaired();
}

TEST(mutex, one_that_was_not_repaired_is_poisoned_for_everybody) {
  auto twins = make();
  die_with(*twins);
  auto held = or_throw(twins->lock.lock());
  Forked waiter{[&] { return twins->lock.lock().error() == ErrorKind::poisoned ? 0 : 1; }};
  waiter.until_asleep();
  Forked second{[&] { return twins->lock.lock().error() == ErrorKind::poisoned ? 0 : 1; }};
  second.until_asleep();
  held.unlock();
  EXPECT_EQ(waiter.wait(), 0);
  EXPECT_EQ(second.wait(), 0);
  EXPECT_TRUE(twins->lock.poisoned());
  EXPECT_EQ(twins->lock.try_lock().error(), ErrorKind::poisoned);
}

TEST(mutex, a_death_in_the_repair_leaves_it_to_be_repaired) {
  auto twins = make();
  die_with(*twins);
  Forked repairs{[&] {
    auto held = or_throw(twins->lock.lock());
    twins->step = held.owner_died() ? 1 : 9;
    ::pause();
  }};
  until(twins->step, 1);
  EXPECT_EQ(twins->step, 1U);
  repairs.kill();
  auto held = or_throw(twins->lock.lock());
  EXPECT_TRUE(held.owner_died());
  held.repaired();
}

TEST(mutex, who_waits_gets_it_from_a_dying_owner) {
  auto twins = make();
  Forked owner{[&] {
    auto held = or_throw(twins->lock.lock());
    twins->step = 1;
    ::pause();
  }};
  until(twins->step, 1);
  Forked waiter{[&] {
    auto held = or_throw(twins->lock.lock());
    const bool told = held.owner_died();
    held.repaired();
    return told ? 0 : 1;
  }};
  waiter.until_asleep();
  owner.kill();
  EXPECT_EQ(waiter.wait(), 0);
}

TEST(mutex, a_waiter_that_dies_keeps_nobody) {
  auto twins = make();
  auto held = or_throw(twins->lock.lock());
  Forked first{[&] { static_cast<void>(twins->lock.lock()); }};
  first.until_asleep();
  Forked second{[&] { return twins->lock.lock()->owner_died() ? 1 : 0; }};
  second.until_asleep();
  first.kill();
  held.unlock();
  EXPECT_EQ(second.wait(), 0);
}

TEST(mutex, who_dies_in_the_hand_over_is_a_dead_owner) {
  // Stopped while it waits, it is handed the lock and cannot know it.
  auto twins = make();
  auto held = or_throw(twins->lock.lock());
  Forked heir{[&] { static_cast<void>(twins->lock.lock()); }};
  heir.until_asleep();
  ::kill(heir.pid(), SIGSTOP);
  siginfo_t stopped{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(heir.pid()), &stopped, WSTOPPED | WNOWAIT), 0);
  held.unlock();
  heir.kill();
  auto mine = or_throw(twins->lock.lock(10s));
  if (mine.owner_died()) mine.repaired();
}

TEST(mutex, a_thread_that_ends_with_it_is_a_dead_owner) {
  auto twins = make();
  Forked process{[&] {
    std::thread{[&] { new Mutex::Guard{or_throw(twins->lock.lock())}; }}.join();
    auto held = or_throw(twins->lock.lock());
    const bool told = held.owner_died();
    held.repaired();
    ::_exit(told ? 0 : 1);  // the guard of the dead is never destroyed
  }};
  EXPECT_EQ(process.wait(), 0);
}

TEST(mutex, a_leader_that_ends_before_its_threads_is_a_dead_owner) {
  auto twins = make();
  Forked process{[&] {
    std::thread lives{[&] {
      until(twins->step, 2);
      ::_exit(0);
    }};
    new Mutex::Guard{or_throw(twins->lock.lock())};
    twins->step = 1;
    ::syscall(SYS_exit, 0);
  }};
  until(twins->step, 1);
  auto held = or_throw(twins->lock.lock());
  EXPECT_TRUE(held.owner_died());
  held.repaired();
  twins->step = 2;
  process.wait();
}

TEST(mutex, a_process_that_becomes_another_program_is_a_dead_owner) {
  auto twins = make();
  Forked process{[&] {
    new Mutex::Guard{or_throw(twins->lock.lock())};
    ::execl("/bin/true", "true", nullptr);
  }};
  EXPECT_EQ(process.wait(), 0);
  auto held = or_throw(twins->lock.lock());
  EXPECT_TRUE(held.owner_died());
  held.repaired();
}

TEST(mutex, a_forked_child_does_not_have_what_its_parent_holds) {
  auto twins = make();
  auto other = or_throw(twins->other.lock());
  auto held = or_throw(twins->lock.lock());
  Forked child{[&] {
    if (twins->lock.try_lock()) return 1;
    held.unlock();  // does nothing here
    if (twins->lock.lock(1ms).error() != ErrorKind::timed_out) return 2;
    other.unlock();
    return 0;
  }};
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(twins->lock.owner(), static_cast<std::uint32_t>(::gettid()));
  held.unlock();
  EXPECT_TRUE(twins->lock.try_lock());
  other.unlock();
  EXPECT_TRUE(twins->other.try_lock());
}

TEST(mutex, a_child_of_a_fork_with_handlers_left_out_is_a_thread_of_its_own) {
  auto twins = make();
  const pid_t child = ::_Fork();
  if (child == 0) {
    auto held = or_throw(twins->lock.lock());
    ::_exit(twins->lock.owner() == static_cast<std::uint32_t>(::gettid()) ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  auto held = or_throw(twins->lock.lock());
  EXPECT_TRUE(held.owner_died());
  held.repaired();
}

TEST(mutex, a_circle_of_waits_of_two_processes_is_a_deadlock_for_who_closes_it) {
  auto twins = make();
  auto held = or_throw(twins->lock.lock());
  Forked other{[&] {
    auto mine = or_throw(twins->other.lock());
    twins->step = 1;
    return twins->lock.lock() ? 0 : 1;
  }};
  until(twins->step, 1);
  other.until_asleep();
  const auto closing = twins->other.lock();
  ASSERT_FALSE(closing);
  EXPECT_EQ(closing.error(), ErrorKind::deadlock) << closing.error();
  held.unlock();
  EXPECT_EQ(other.wait(), 0);
}

TEST(mutex, locks_and_robust_mutexes_of_the_c_library_stand_in_one_list) {
  struct Mixed {
    explicit Mixed(Place place) : a(place, "a"), b(place, "b") {
      pthread_mutexattr_t how{};
      ::pthread_mutexattr_init(&how);
      ::pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
      ::pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
      ::pthread_mutex_init(&theirs, &how);
      ::pthread_mutexattr_destroy(&how);
    }
    Mutex a;
    pthread_mutex_t theirs{};
    Mutex b;
  };
  auto mixed = or_throw(Shared<Mixed>::create());
  for (const int order : {0, 1, 2}) {
    auto a = or_throw(mixed->a.lock());
    ASSERT_EQ(::pthread_mutex_lock(&mixed->theirs), 0);
    auto b = or_throw(mixed->b.lock());
    if (order == 0) a.unlock();
    if (order == 1) b.unlock();
    ::pthread_mutex_unlock(&mixed->theirs);
  }
  Forked dies{[&] {
    auto a = or_throw(mixed->a.lock());
    ::pthread_mutex_lock(&mixed->theirs);
    auto b = or_throw(mixed->b.lock());
    ::_exit(0);
  }};
  dies.wait();
  EXPECT_EQ(::pthread_mutex_lock(&mixed->theirs), EOWNERDEAD);
  auto a = or_throw(mixed->a.lock());
  auto b = or_throw(mixed->b.lock());
  EXPECT_TRUE(a.owner_died());
  EXPECT_TRUE(b.owner_died());
  a.repaired();
  b.repaired();
  ::pthread_mutex_consistent(&mixed->theirs);
  ::pthread_mutex_unlock(&mixed->theirs);
  ::pthread_mutex_destroy(&mixed->theirs);
}

TEST(mutex, an_owner_runs_with_the_priority_of_who_waits) {
  auto twins = make();
  auto held = or_throw(twins->lock.lock());
  Forked waiter{[&] {
    const sched_param urgent{.sched_priority = 1};
    if (::sched_setscheduler(0, SCHED_FIFO, &urgent) != 0) return 2;
    return twins->lock.lock() ? 0 : 1;
  }};
  waiter.until_asleep();
  if (waiter.has_ended()) {
    EXPECT_EQ(waiter.wait(), 2);
    GTEST_SKIP() << "needs the right to a real-time priority";
  }
  // Field 18 of /proc/self/stat: negative for a real-time priority, the inherited one too.
  std::FILE* const file = std::fopen("/proc/thread-self/stat", "re");
  ASSERT_NE(file, nullptr);
  long now = 0;
  EXPECT_EQ(
      std::fscanf(file,
                  "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %ld",
                  &now),
      1);
  std::fclose(file);
  EXPECT_LT(now, 0);
  held.unlock();
  EXPECT_EQ(waiter.wait(), 0);
}

TEST(mutex, standard_locks_take_it_and_tell_of_a_death) {
  auto twins = make();
  die_with(*twins);
  {
    Lockable lock{twins->lock};
    Lockable other{twins->other};
    const std::scoped_lock both{lock, other};
    EXPECT_TRUE(lock.owner_died());
    EXPECT_FALSE(other.owner_died());
    lock.repaired();
  }
  EXPECT_EQ(twins->lock.owner(), 0U);
}

TEST(mutex, a_standard_lock_throws_what_is_wrong) {
  auto twins = make();
  die_with(*twins);
  or_throw(twins->lock.lock()).unlock();
  Lockable lock{twins->lock};
  EXPECT_THROW(lock.lock(), Failure);
  EXPECT_FALSE(lock.try_lock());
  const std::unique_lock late{lock, 1ms};
  EXPECT_FALSE(late.owns_lock());
}

TEST(mutex, counts_stay_right_while_owners_are_killed_at_random) {
  auto twins = make();
  const auto work = [&] {
    for (;;) {
      auto held = or_throw(twins->lock.lock());
      if (held.owner_died()) {
        twins->second = twins->first;
        held.repaired();
      }
      if (twins->first != twins->second) ::_exit(1);
      ++twins->first;
      ++twins->second;
    }
  };
  std::array<std::optional<Forked>, 4> workers;
  for (auto& worker : workers) worker.emplace(work);
  std::minstd_rand random{6};
  for (int kill = 0; kill < soaked(100); ++kill) {
    std::optional<Forked>& victim = workers[random() % workers.size()];
    EXPECT_EQ(victim->kill(), 128 + SIGKILL) << "a count was wrong";
    victim.reset();
    victim.emplace(work);
  }
  auto waiting = waiting_for("somebody to count");
  while (std::atomic_ref{twins->first} == 0) std::this_thread::yield();
  for (auto& worker : workers) EXPECT_EQ(worker->kill(), 128 + SIGKILL);
  auto held = or_throw(twins->lock.lock(10s));
  if (!held.owner_died()) {
    EXPECT_EQ(twins->first, twins->second);
  }
  held.repaired();
}

/// Locks and unlocks while the word is written over; all outcomes are right but a crash or a hang.
int use_forged(Twins& twins, int rounds, bool here) {
  std::minstd_rand random{7};
  for (int i = 0; i < rounds; ++i) {
    if (here) word_of(twins.lock) = static_cast<std::uint32_t>(random() * 2654435761U);
    auto held = twins.lock.lock(20us);
    if (here && held) word_of(twins.lock) = static_cast<std::uint32_t>(random() * 40503U);
  }
  return 0;
}

TEST(mutex, forged_words_never_keep_anybody_beyond_the_deadline) {
  auto twins = make();
  auto waiting = waiting_for("a lock whose word is forged");
  Forked alone{[&] { return use_forged(*twins, soaked(50'000), true); }};
  EXPECT_EQ(alone.wait(), 0);
  Forked vandal{[&] {
    std::minstd_rand random{8};
    for (;;)
      word_of(twins->lock) =
          static_cast<std::uint32_t>(random() * 2654435761U) >> (random() % 2 * 31);
  }};
  Forked first{[&] { return use_forged(*twins, soaked(25'000), false); }};
  Forked second{[&] { return use_forged(*twins, soaked(25'000), false); }};
  EXPECT_EQ(first.wait(), 0);
  EXPECT_EQ(second.wait(), 0);
}

TEST(mutex_threaded, threads_of_one_process_count_together) {
  auto twins = make();
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 2'000; ++n) {
        auto held = or_throw(twins->lock.lock());
        ++twins->first;
        ++twins->second;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(twins->first, 6'000U);
  EXPECT_EQ(twins->second, 6'000U);
}

}  // namespace
}  // namespace bulkhead

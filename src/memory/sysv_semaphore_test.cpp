// SPDX-License-Identifier: Apache-2.0
//
// System V semaphores between processes: what the dead held comes back, nothing is left behind, and
// makers race and die.
#include <csignal>
#include <gtest/gtest.h>
#include <sys/sem.h>
#include <thread>

#include <bulkhead/sysv_semaphore.hpp>

#include "support/forked.hpp"
#include "support/soak.hpp"
#include "support/watchdog.hpp"

namespace bulkhead {
namespace {

using namespace std::chrono_literals;
using test::Forked;
using test::soaked;
using test::waiting_for;

key_t fresh_key() {
  static int used = 0;
  return static_cast<key_t>(0x42000000 + (::getpid() & 0xfffff) * 16 + ++used % 16);
}

unsigned value_of(const SysvSemaphore& semaphore) { return or_throw(semaphore.value()); }

TEST(sysv_semaphore, counts_and_ends_with_its_last_user) {
  const key_t key = fresh_key();
  {
    auto made = or_throw(SysvSemaphore::create(key, 2));
    auto opened = or_throw(SysvSemaphore::open(key));
    or_throw(made.wait());
    or_throw(opened.try_wait());
    EXPECT_EQ(opened.try_wait().error(), ErrorKind::empty);
    EXPECT_EQ(opened.wait(2ms).error(), ErrorKind::timed_out);
    or_throw(made.post());
    EXPECT_EQ(value_of(opened), 1);
    EXPECT_EQ(SysvSemaphore::create(key, 1).error(), ErrorKind::exists);
  }
  EXPECT_EQ(SysvSemaphore::open(key).error(), ErrorKind::not_found);
  EXPECT_LT(::semget(key, 0, 0), 0);
}

TEST(sysv_semaphore, gives_back_what_a_dead_holder_had) {
  auto seats = or_throw(SysvSemaphore::create(fresh_key(), 3));
  Forked holder{[&] {
    or_throw(seats.wait());
    or_throw(seats.wait());
    for (;;) ::pause();
  }};
  auto waiting = waiting_for("a holder");
  while (value_of(seats) != 1) {
  }
  Forked sleeper{[&] {
    or_throw(seats.wait());
    return seats.wait(60s) ? 0 : 1;
  }};
  sleeper.until_asleep();
  holder.kill();
  EXPECT_EQ(sleeper.wait(), 0);
  EXPECT_EQ(value_of(seats), 3);
}

TEST(sysv_semaphore, without_undo_a_death_changes_nothing) {
  auto jobs = or_throw(SysvSemaphore::create(fresh_key(), 0, SysvSemaphore::Undo::none));
  Forked giver{[&] { or_throw(jobs.post()); }};
  EXPECT_EQ(giver.wait(), 0);
  EXPECT_EQ(value_of(jobs), 1);
}

TEST(sysv_semaphore, what_killed_users_left_is_made_anew) {
  const key_t key = fresh_key();
  Forked victim{[&] {
    auto theirs = or_throw(SysvSemaphore::create(key, 7, SysvSemaphore::Undo::none));
    ::raise(SIGKILL);
  }};
  victim.wait();
  ASSERT_GE(::semget(key, 0, 0), 0);
  EXPECT_EQ(SysvSemaphore::open(key).error(), ErrorKind::not_found);
  auto anew = or_throw(SysvSemaphore::open_or_create(key, 2));
  EXPECT_EQ(value_of(anew), 2);
}

TEST(sysv_semaphore, of_racing_makers_that_may_be_killed_one_makes_it) {
  for (int round = 0; round < soaked(12); ++round) {
    const key_t key = fresh_key();
    const auto take_part = [&] {
      for (int i = 0; i < 20; ++i) {
        auto mine = or_throw(SysvSemaphore::open_or_create(key, 1));
        or_throw(mine.wait(60s));
        const unsigned others = value_of(mine);
        or_throw(mine.post());
        if (others != 0) return 1;
      }
      return 0;
    };
    auto waiting = waiting_for("three makers, of which one is killed");
    Forked one{take_part};
    Forked victim{take_part};
    Forked two{take_part};
    for (int i = 0; i < round * 30; ++i) std::this_thread::yield();
    victim.kill();
    ASSERT_EQ(one.wait(), 0);
    ASSERT_EQ(two.wait(), 0);
    static_cast<void>(SysvSemaphore::open_or_create(key, 1));  // removes what the victim left
    ASSERT_LT(::semget(key, 0, 0), 0);
  }
}

TEST(sysv_semaphore, a_set_of_another_program_is_refused_or_attached_to) {
  const key_t key = fresh_key();
  const int set = ::semget(key, 2, IPC_CREAT | 0600);
  EXPECT_EQ(SysvSemaphore::open(key).error(), ErrorKind::incompatible);
  EXPECT_EQ(SysvSemaphore::create(key, 1).error(), ErrorKind::incompatible);
  auto theirs = or_throw(SysvSemaphore::attach(key, 1));
  or_throw(theirs.post());
  EXPECT_EQ(::semctl(set, 1, GETVAL), 1);
  ::semctl(set, 0, IPC_RMID);
  EXPECT_EQ(theirs.wait().error(), ErrorKind::closed);
}

TEST(sysv_semaphore, the_ends_of_its_range_are_errors) {
  EXPECT_EQ(SysvSemaphore::create(fresh_key(), 32768).error(), ErrorKind::too_large);
  auto full = or_throw(SysvSemaphore::create(fresh_key(), SysvSemaphore::most));
  EXPECT_EQ(full.post().error(), ErrorKind::exhausted);
}

}  // namespace
}  // namespace bulkhead

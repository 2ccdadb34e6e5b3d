// SPDX-License-Identifier: Apache-2.0
//
// System V semaphores between processes: what the dead held comes back, nothing is left behind, and
// makers race and die.
#include <csignal>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <sys/sem.h>
#include <thread>
#include <vector>

#include <bulkhead/names.hpp>
#include <bulkhead/sysv_semaphore.hpp>

#include "os/name_record.hpp"
#include "os/semaphore_set.hpp"
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
  {
    auto anew = or_throw(SysvSemaphore::open_or_create(key, 2));
    EXPECT_EQ(value_of(anew), 2);
  }
  or_throw(remove_stale_names());  // the dead one's record
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
    if (round % 2 == 0) static_cast<void>(SysvSemaphore::open_or_create(key, 1));
    or_throw(remove_stale_names());  // what the victim left
    ASSERT_LT(::semget(key, 0, 0), 0);
  }
}

std::string state_of(key_t key, const std::vector<OwnedName>& names) {
  for (const auto& name : names) {
    if (name.mechanism == "system_v_semaphore" && name.name == std::to_string(key)) {
      return std::string{to_string(name.state)};
    }
  }
  return "unknown";
}

TEST(sysv_semaphore, of_dead_users_is_found_by_clean_and_that_of_the_living_is_not) {
  const key_t key = fresh_key();
  {
    auto here = or_throw(SysvSemaphore::create(key, 3));
    EXPECT_EQ(state_of(key, or_throw(list_names())), "live");
    Forked other{[&] {
      auto theirs = or_throw(SysvSemaphore::open(key));
      ::raise(SIGKILL);
    }};
    other.wait();
    EXPECT_EQ(state_of(key, or_throw(remove_stale_names())), "unknown");
    EXPECT_EQ(value_of(here), 3);
  }
  EXPECT_LT(::semget(key, 0, 0), 0);
  Forked last{[&] {
    auto theirs = or_throw(SysvSemaphore::create(key, 3));
    ::raise(SIGKILL);
  }};
  last.wait();
  EXPECT_EQ(state_of(key, or_throw(list_names())), "stale");
  ASSERT_GE(::semget(key, 0, 0), 0);
  EXPECT_EQ(state_of(key, or_throw(remove_stale_names())), "removed");
  EXPECT_LT(::semget(key, 0, 0), 0);
}

/// The record that a process leaves which is killed after `work`, before it tells what it made.
void leave_record(key_t key, const std::function<void()>& work) {
  Forked maker{[&] {
    auto record = or_throw(os::NameRecord::create("system_v_semaphore"));
    or_throw(record.add(os::Named::semaphore, std::to_string(key)));
    work();
    ::raise(SIGKILL);
  }};
  maker.wait();
}

TEST(sysv_semaphore, of_a_maker_that_died_anywhere_is_found_by_clean_and_a_live_makers_is_not) {
  namespace set_of = os::semaphore_set;
  for (const bool ready : {false, true}) {
    const key_t key = fresh_key();
    leave_record(key, [&] {
      const int set = ::semget(key, set_of::parts, IPC_CREAT | 0600);
      if (ready) set_of::make_ready(set, 5);
    });
    EXPECT_EQ(state_of(key, or_throw(remove_stale_names())), "removed");
    EXPECT_LT(::semget(key, 0, 0), 0);
  }
  // A dead one's record, and a live one has the key now.
  const key_t key = fresh_key();
  leave_record(key, [] {});
  auto here = or_throw(SysvSemaphore::create(key, 5));
  EXPECT_EQ(state_of(key, or_throw(remove_stale_names())), "unknown");
  EXPECT_EQ(value_of(here), 5);
}

TEST(sysv_semaphore, of_another_program_is_left_alone_by_clean) {
  for (const int count : {2, 3}) {
    const key_t key = fresh_key();
    leave_record(key, [&] {
      const int set = ::semget(key, count, IPC_CREAT | 0600);
      ::semctl(set, 1, SETVAL, 1);
    });
    EXPECT_NE(state_of(key, or_throw(remove_stale_names())), "removed");
    const int set = ::semget(key, 0, 0);
    EXPECT_GE(set, 0);
    if (count == 3) {
      EXPECT_EQ(SysvSemaphore::create(key, 1).error(), ErrorKind::incompatible);
    }
    ::semctl(set, 0, IPC_RMID);
  }
}

TEST(sysv_semaphore, that_somebody_removes_and_does_not_go_on_is_an_error_and_no_wait_for_ever) {
  namespace set_of = os::semaphore_set;
  const key_t key = fresh_key();
  const int set = ::semget(key, set_of::parts, IPC_CREAT | 0600);
  ::semctl(set, set_of::users_part, SETVAL, 1);  // not ready, used: by who removes it
  auto waiting = waiting_for("two seconds of patience");
  const auto refused = SysvSemaphore::create(key, 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), ErrorKind::exists) << refused.error();
  ::semctl(set, 0, IPC_RMID);
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

// SPDX-License-Identifier: Apache-2.0
//
// Named POSIX semaphores: with other programs, ending with their users, and after these were killed.
#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <semaphore.h>
#include <string>
#include <thread>
#include <unistd.h>

#include <bulkhead/names.hpp>
#include <bulkhead/posix_semaphore.hpp>

#include "support/forked.hpp"
#include "support/soak.hpp"
#include "support/watchdog.hpp"

namespace bulkhead {
namespace {

using namespace std::chrono_literals;
using test::Forked;
using test::soaked;
using test::waiting_for;

std::string fresh_name() {
  static int used = 0;
  return "bulkhead-test-" + std::to_string(::getpid()) + "-" + std::to_string(++used);
}
bool is_there(const std::string& name) {
  return ::access(("/dev/shm/sem." + name).c_str(), F_OK) == 0;
}

TEST(posix_semaphore, counts_and_ends_with_its_last_user) {
  const std::string name = fresh_name();
  {
    auto made = or_throw(PosixSemaphore::create(name, 2));
    auto opened = or_throw(PosixSemaphore::open(name));
    or_throw(made.wait());
    EXPECT_TRUE(opened.try_wait());
    EXPECT_FALSE(opened.try_wait());
    EXPECT_EQ(opened.wait(2ms).error(), ErrorKind::timed_out);
    or_throw(made.post());
    EXPECT_EQ(opened.value(), 1);
    EXPECT_EQ(PosixSemaphore::create(name, 1).error(), ErrorKind::exists);
  }
  EXPECT_FALSE(is_there(name));
  EXPECT_EQ(PosixSemaphore::open(name).error(), ErrorKind::not_found);
}

TEST(posix_semaphore, is_the_one_that_other_programs_open) {
  const std::string name = fresh_name();
  auto ours = or_throw(PosixSemaphore::create(name, 0));
  Forked other{[&] {
    sem_t* const theirs = ::sem_open(("/" + name).c_str(), 0);
    return theirs != SEM_FAILED && ::sem_post(theirs) == 0 ? 0 : 1;
  }};
  auto waiting = waiting_for("the post of another program");
  EXPECT_TRUE(ours.wait(60s).has_value());
  EXPECT_EQ(other.wait(), 0);
}

TEST(posix_semaphore, one_that_another_program_made_is_opened_and_stays) {
  const std::string name = fresh_name();
  sem_t* const theirs = ::sem_open(("/" + name).c_str(), O_CREAT | O_EXCL, 0600, 3);
  ASSERT_NE(theirs, SEM_FAILED);
  or_throw(or_throw(PosixSemaphore::open_or_create(name, 1)).wait());
  int value = 0;
  ::sem_getvalue(theirs, &value);
  EXPECT_EQ(value, 2);
  EXPECT_TRUE(is_there(name));
  ::sem_close(theirs);
  ::sem_unlink(("/" + name).c_str());
}

TEST(posix_semaphore, what_killed_users_left_is_made_anew_or_cleaned) {
  for (const bool clean : {false, true}) {
    const std::string name = fresh_name();
    Forked victim{[&] {
      auto theirs = or_throw(PosixSemaphore::create(name, 7));
      ::raise(SIGKILL);
    }};
    victim.wait();
    ASSERT_TRUE(is_there(name));
    if (clean) {
      or_throw(remove_stale_names());
    } else {
      EXPECT_EQ(or_throw(PosixSemaphore::open_or_create(name, 2)).value(), 2);
    }
    EXPECT_FALSE(is_there(name));
  }
}

TEST(posix_semaphore,
     a_holder_that_is_killed_keeps_what_it_took_and_nobody_longer_than_a_deadline) {
  auto semaphore = or_throw(PosixSemaphore::create(fresh_name(), 1));
  Forked holder{[&] {
    or_throw(semaphore.wait());
    ::raise(SIGKILL);
  }};
  holder.wait();
  EXPECT_EQ(semaphore.wait(2ms).error(), ErrorKind::timed_out);
}

TEST(posix_semaphore, of_racing_makers_one_makes_it) {
  for (int round = 0; round < soaked(8); ++round) {
    const std::string name = fresh_name();
    const auto take_part = [&] {
      auto mine = or_throw(PosixSemaphore::open_or_create(name, 1));
      or_throw(mine.wait(60s));
      const bool alone = mine.value() == 0;
      or_throw(mine.post());
      return alone ? 0 : 1;
    };
    auto waiting = waiting_for("two makers");
    Forked one{take_part};
    Forked two{take_part};
    ASSERT_EQ(one.wait() + two.wait(), 0);
    ASSERT_FALSE(is_there(name));
  }
}

TEST(posix_semaphore, wrong_names_and_counts_are_errors) {
  EXPECT_EQ(PosixSemaphore::open("a/b").error(), ErrorKind::invalid);
  EXPECT_EQ(PosixSemaphore::create(fresh_name(), 0x80000000U).error(), ErrorKind::too_large);
  auto full = or_throw(PosixSemaphore::create(fresh_name(), PosixSemaphore::most));
  EXPECT_EQ(full.post().error(), ErrorKind::exhausted);
}

}  // namespace
}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
//
// The futex calls on memory that two processes share.
#include "os/futex.hpp"

#include <csignal>
#include <cstring>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace bulkhead::os {
namespace {

using namespace std::chrono_literals;

/// A page that a forked child shares.
class Page {
 public:
  Page() : at_(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {}
  ~Page() { ::munmap(at_, 4096); }
  FutexWord& word(std::size_t index) { return static_cast<FutexWord*>(at_)[index]; }

 private:
  void* at_;
};

TEST(futex, a_wait_ends_at_its_deadline_and_not_at_all_for_another_value) {
  Page page;
  EXPECT_FALSE(futex_wait(page.word(0), 0, 1ms));
  EXPECT_FALSE(futex_wait(page.word(0), 0, Deadline{Deadline::Clock::time_point::min()}));
  EXPECT_TRUE(futex_wait(page.word(0), 1, never));
}

/// Adds or sets while a child sleeps; the child tells the value that it woke up to.
template <class Change> int value_woken_to(Change change) {
  Page page;
  page.word(0) = 7;
  const pid_t child = ::fork();
  if (child == 0) {
    page.word(1) = 1;
    while (page.word(0) == 7) futex_wait(page.word(0), 7, 30s);
    ::_exit(static_cast<int>(page.word(0) & 0xff));
  }
  while (page.word(1) == 0) std::this_thread::yield();
  change(page.word(0));
  int status = 0;
  ::waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

TEST(futex, a_change_and_its_wake_are_one) {
  EXPECT_EQ(value_woken_to([](FutexWord& word) { futex_add_and_wake_all(word, 2); }), 9);
  EXPECT_EQ(value_woken_to([](FutexWord& word) { futex_add_and_wake_all(word, -2); }), 5);
  EXPECT_EQ(value_woken_to([](FutexWord& word) { futex_clear_and_wake_all(word, 1); }), 5);
  EXPECT_EQ(value_woken_to([](FutexWord& word) { futex_set_and_wake_all(word, 0); }), 0);
}

TEST(futex, a_wait_on_several_words_ends_when_one_changes) {
  Page page;
  const FutexSeen both[]{{&page.word(0), 0}, {&page.word(1), 0}};
  const auto idle = futex_wait_any(both, 1ms);
  if (!idle) GTEST_SKIP() << "Linux before 5.16: no futex_waitv";
  EXPECT_FALSE(*idle);
  const pid_t child = ::fork();
  if (child == 0) {
    futex_add_and_wake_all(page.word(1), 1);
    ::_exit(0);
  }
  while (page.word(1) == 0) futex_wait_any(both, 30s);
  ::waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace bulkhead::os

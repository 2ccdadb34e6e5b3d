// SPDX-License-Identifier: Apache-2.0
//
// Families of processes: nobody is left behind, and the host, its other threads, its handlers and its
// forked copies notice nothing.
#include <atomic>
#include <csignal>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>
#include <sstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <bulkhead/process.hpp>

#include "support/census.hpp"
#include "support/children.hpp"
#include "support/process_roles.hpp"

namespace {

using namespace bulkhead;
using namespace bulkhead::test;
using namespace std::chrono_literals;
using testing::HasSubstr;

void start_a_child_of_its_own(Bootstrap& boot) {
  Process inner = or_exit(spawn<tell_and_wait>());
  or_exit(inner.channel().receive(10s));
  or_exit(boot.channel().send(as_bytes(std::to_string(inner.pid())), 10s));
  wait_for_close(boot);
}

TEST(process_tree, grandchildren_end_with_the_child) {
  auto child = or_throw(spawn<fork_and_tell>());
  const pid_t grandchild = number(message_of(child.channel()));
  ASSERT_GT(grandchild, 0);
  EXPECT_TRUE(is_alive(grandchild));
  EXPECT_EQ(or_throw(child.terminate(20s)), Exit::exited(0));
  EXPECT_TRUE(goes(grandchild));
}

TEST(process_tree, grandchildren_end_with_a_child_that_is_killed_by_somebody) {
  auto child = or_throw(spawn<fork_and_tell>());
  const pid_t grandchild = number(message_of(child.channel()));
  ::kill(child.pid(), SIGKILL);
  EXPECT_EQ(or_throw(child.wait(30s)), Exit::killed(SIGKILL));
  EXPECT_TRUE(goes(grandchild));
}

TEST(process_tree, children_of_a_child_end_with_it) {
  auto child = or_throw(spawn<start_a_child_of_its_own>());
  const pid_t inner = number(message_of(child.channel()));
  ASSERT_GT(inner, 0);
  EXPECT_TRUE(is_alive(inner));
  EXPECT_EQ(or_throw(child.kill()), Exit::killed(SIGKILL));
  EXPECT_TRUE(goes(inner));
}

TEST(process_tree, nobody_outlives_a_parent_that_is_killed) {
  auto parent = Child::start("makes_a_family");
  std::vector<pid_t> family;
  std::istringstream line{parent.read_line()};
  for (pid_t pid = 0; line >> pid;) family.push_back(pid);
  ASSERT_EQ(family.size(), 4u);  // child, its fork, its child, a hostile one
  for (const pid_t pid : family) EXPECT_TRUE(is_alive(pid));
  parent.kill(SIGKILL);
  parent.wait();
  for (const pid_t pid : family) EXPECT_TRUE(goes(pid)) << pid;
}

TEST(process_tree, a_child_outlives_the_thread_that_spawned_it) {
  std::optional<Process> child;
  std::thread{[&] { child.emplace(or_throw(spawn<tell_and_wait>())); }}.join();
  EXPECT_EQ(message_of(child->channel()), "here");
  EXPECT_TRUE(child->running());
}

TEST(process_tree, an_independent_child_stays_when_its_process_goes) {
  pid_t pid = 0;
  {
    auto child = or_throw(spawn<ignore_everything>({.lifetime = Lifetime::independent}));
    pid = child.pid();
    EXPECT_EQ(message_of(child.channel()), "here");
  }
  EXPECT_TRUE(is_alive(pid));
  ::kill(pid, SIGKILL);
  EXPECT_TRUE(goes(pid));
  or_throw(or_throw(spawn<return_at_once>()).wait(30s));  // a spawn reaps what has ended meanwhile
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(process_tree, a_hundred_spawns_leave_nothing) {
  const auto before = test::Census::take();
  for (int i = 0; i < 100; ++i) {
    auto child = or_throw(spawn<tell_and_wait>());
    if (i % 3 == 0) {
      EXPECT_EQ(message_of(child.channel()), "here");
    }
    if (i % 3 == 1) or_throw(child.kill());
  }
  EXPECT_THAT(before.settle(2s), testing::IsEmpty());
}

TEST(process_tree, a_child_killed_at_a_random_moment_of_its_start_is_an_error_or_a_process) {
  std::atomic<bool> stop{false};
  const pid_t self = ::getpid();
  // Kills what is a child of ours and young, by /proc, as an out-of-memory killer would.
  std::thread killer{[&] {
    while (!stop) {
      std::ifstream children{"/proc/self/task/" + std::to_string(self) + "/children"};
      for (pid_t pid = 0; children >> pid;) ::kill(pid, SIGKILL);
      std::this_thread::yield();
    }
  }};
  int died = 0;
  for (int i = 0; i < 60; ++i) {
    auto child = spawn<tell_and_wait>();
    if (!child) {
      EXPECT_EQ(child.error().kind(), ErrorKind::peer_died) << child.error();
      ++died;
      continue;
    }
    auto answer = child->channel().receive(30s);
    if (!answer) {
      EXPECT_EQ(answer.error().kind(), ErrorKind::peer_died) << answer.error();
    }
  }
  stop = true;
  killer.join();
  RecordProperty("died_at_start", died);
}

TEST(process_tree_threaded, many_threads_spawn_at_once) {
  std::vector<std::thread> threads;
  std::atomic<int> greeted{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 4; ++round) {
        auto child = or_throw(spawn<say_hello>());
        greeted += message_of(child.channel()) == "hello from say_hello";
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(greeted, 32);
}

// The host.

std::atomic<int> children_heard{0};

TEST(process_host, its_child_handler_and_its_reaping_are_left_alone) {
  struct sigaction mine{};
  struct sigaction before{};
  mine.sa_handler = [](int) { ++children_heard; };
  mine.sa_flags = SA_RESTART;
  ::sigaction(SIGCHLD, &mine, &before);
  EXPECT_EQ(exit_of<leave_with_three>(), Exit::exited(3));
  struct sigaction after{};
  ::sigaction(SIGCHLD, &before, &after);
  EXPECT_EQ(after.sa_handler, mine.sa_handler);
}

TEST(process_host, may_reap_everything_and_the_exit_is_known_all_the_same) {
  auto child = or_throw(spawn<leave_with_three>());
  const Waiting waiting{"waitpid(-1)"};
  int status = 0;
  ASSERT_EQ(::waitpid(-1, &status, 0), child.pid());
  const Exit exit = or_throw(child.wait(30s));
  // Told by Linux 6.15 and later.
  if (exit.cause == Exit::Cause::unknown) {
    EXPECT_THAT(exit.detail, HasSubstr("reaped"));
  } else {
    EXPECT_EQ(exit, Exit::exited(3));
  }
}

TEST(process_host, may_ignore_child_signals) {
  const auto before = ::signal(SIGCHLD, SIG_IGN);
  auto child = or_throw(spawn<fork_and_tell>());
  const pid_t grandchild = number(message_of(child.channel()));
  EXPECT_TRUE(child.kill());
  EXPECT_TRUE(goes(grandchild));
  ::signal(SIGCHLD, before);
}

TEST(process_host, a_forked_copy_neither_ends_nor_waits_for_the_children) {
  auto child = or_throw(spawn<tell_and_wait>());
  EXPECT_EQ(message_of(child.channel()), "here");
  const pid_t copy = ::fork();
  if (copy == 0) {
    bool right = child.wait(0s).error() == ErrorKind::invalid;
    right = right && child.kill().error() == ErrorKind::invalid && !child.running();
    {
      auto taken = std::move(child);
    }
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(copy, &status, 0), copy);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(child.running());
  EXPECT_EQ(or_throw(child.terminate(20s)), Exit::exited(0));
}

TEST(process_host, a_forked_copy_does_not_keep_the_children_alive) {
  auto parent = Child::start("makes_a_family", {"and a copy of itself"});
  std::vector<pid_t> family;
  std::istringstream line{parent.read_line()};
  for (pid_t pid = 0; line >> pid;) family.push_back(pid);
  ASSERT_EQ(family.size(), 5u);
  parent.kill(SIGKILL);
  parent.wait();
  const pid_t copy = family.back();
  family.pop_back();
  for (const pid_t pid : family) EXPECT_TRUE(goes(pid)) << pid;
  EXPECT_TRUE(is_alive(copy));
  ::kill(copy, SIGKILL);
  EXPECT_TRUE(goes(copy));
}

}  // namespace

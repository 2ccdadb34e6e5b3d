// SPDX-License-Identifier: Apache-2.0
//
// What can go wrong when a process is started: each is an error in words, and leaves nothing.
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
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

TEST(process_failure, spawn_before_init_is_invalid) {
  auto program = Child::start("spawns_before_init");
  EXPECT_THAT(program.read_all(),
              HasSubstr("spawn role: bulkhead::init has not been called; call it first thing in "
                        "main"));
}

TEST(process_failure, a_missing_folder_is_told) {
  auto child = spawn<say_hello>({.working_directory = "/nowhere/at/all"});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().kind(), ErrorKind::not_found);
  EXPECT_EQ(child.error().sentence(),
            "spawn say_hello: enter folder /nowhere/at/all: No such file or directory");
}

TEST(process_failure, an_output_file_that_cannot_be_opened_is_told) {
  auto child = spawn<say_hello>({.output = Output::file("/nowhere/at/all")});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().kind(), ErrorKind::not_found);
}

TEST(process_failure, without_free_descriptors_it_is_exhausted_and_nothing_is_left) {
  const auto before = test::Census::take();
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  std::vector<Fd> hoard;
  int refused = 0;
  int started = 0;
  // From none free to enough: every call that makes a descriptor is the first to fail once.
  rlimit small = limit;
  for (rlim_t room = 0; room < 40 && started == 0; ++room) {
    const auto next = Fd::adopt(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    small.rlim_cur = static_cast<rlim_t>(next.native()) + room;
    ::setrlimit(RLIMIT_NOFILE, &small);
    auto child = spawn<wait_for_close>();
    ::setrlimit(RLIMIT_NOFILE, &limit);
    if (child) {
      ++started;
    } else {
      EXPECT_EQ(child.error().kind(), ErrorKind::exhausted) << child.error();
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_EQ(started, 1);
  EXPECT_THAT(before.settle(2s), testing::IsEmpty());
}

TEST(process_failure, without_room_for_a_process_it_is_exhausted) {
  auto program = Child::start("has_no_room_for_processes");
  EXPECT_THAT(program.read_all(), HasSubstr("exhausted: spawn role: start process: no more "
                                            "processes are allowed"));
}

TEST(process_failure, an_executable_that_is_removed_can_still_be_spawned) {
  const auto copy = temporary_folder() / "removes_itself";
  std::filesystem::copy_file(test::program_path("removes_itself"), copy);
  auto program = Child::start(copy.string());
  EXPECT_EQ(program.read_all(), "started after removal: exit code 0\n");
}

TEST(process_failure, a_child_that_dies_before_its_role_never_started) {
  auto program = Child::start("dies_before_main");
  EXPECT_THAT(program.read_all(), HasSubstr("died: never started: SIGABRT"));
}

TEST(process_failure, a_role_that_does_not_begin_in_time_is_told) {
  auto program = Child::start("dies_before_main", {"or hangs"});
  EXPECT_THAT(program.read_all(), HasSubstr("its role did not begin in time"));
}

TEST(process_failure, an_inproc_channel_cannot_be_handed_over) {
  auto ends = or_throw(pair(Mechanism::inproc));
  auto child = spawn<say_hello>({.channels = {{"log", std::move(ends.first)}}});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().kind(), ErrorKind::unsupported) << child.error();
}

TEST(process_failure, a_child_flag_given_by_hand_does_not_start_anything) {
  auto program = Child::start("removes_itself", {"--bulkhead-child=0"});
  EXPECT_EQ(WEXITSTATUS(program.wait()), 125);
}

TEST(process_failure, a_child_does_not_become_what_another_user_tells_it) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs the superuser, to be another user for a moment";
  auto program = Child::start("is_told_by_a_stranger");
  EXPECT_EQ(program.read_all(), "exit code 125\n");
}

TEST(process_failure, without_newer_system_calls_a_child_starts_all_the_same) {
  auto program = Child::start("lives_on_an_old_kernel");
  EXPECT_EQ(program.read_all(), "none leaked\n");
}

}  // namespace

// SPDX-License-Identifier: Apache-2.0
//
// The library lives on Linux 5.15 (F32): the conformance suite's basic bodies, all mechanisms, with
// newer facilities of the kernel denied, one after the other and all at once; and where the file system
// has no unnamed files.
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

#include "support/children.hpp"
#include "support/watchdog.hpp"

namespace {

using namespace bulkhead;

class old_kernel : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(without, old_kernel,
                         testing::Values("futex_waitv", "pidfd_open", "close_range", "openat2",
                                         "pidfd_getfd", "epoll_pwait2", "inotify", "peer_pidfd",
                                         "memfd_exec_flags"),
                         [](const auto& chosen) { return chosen.param; });

struct Said {
  int status;
  std::string text;
};

Said run_without(const std::string& denied, const std::string& bodies,
                 const char* program = "conformance_tests") {
  const std::string suite = test::program_path(program);
  auto run = test::Child::start("lives_without",
                                {denied, suite, "--gtest_brief=1", "--gtest_filter=" + bodies});
  const test::Waiting waiting{"the suite without " + denied};
  std::string text = run.read_all();
  return {.status = run.wait(), .text = std::move(text)};
}

void expect_to_pass(const std::string& denied, const std::string& bodies,
                    const char* program = "conformance_tests") {
  const std::string suite = test::program_path(program);
  if (::access(suite.c_str(), X_OK) != 0) GTEST_SKIP() << program << " is not built";
  const auto [status, said] = run_without(denied, bodies, program);
  EXPECT_EQ(status, 0) << said;
  EXPECT_NE(said.find("[  PASSED  ]"), said.npos) << said;
  EXPECT_EQ(said.find(" 0 tests"), said.npos) << "no body has such a name";
}

TEST_P(old_kernel, carries_messages_and_tells_of_death) {
  // A POSIX queue says nothing of who uses it: without inotify there is none, and that is said below.
  const std::string but = GetParam() == "inotify" ? "-*/posix_mq*" : "";
  expect_to_pass(GetParam(),
                 "*/messages.keep_their_boundaries*:*/processes_that_die.are_dead*:"
                 "*/processes_with_a_name.find_each_other*" +
                     but);
}

TEST(old_kernel, without_inotify_refuses_a_posix_queue_in_words) {
  const std::string suite = test::program_path("conformance_tests");
  if (::access(suite.c_str(), X_OK) != 0) GTEST_SKIP() << "conformance_tests is not built";
  const auto [status, said] = run_without("inotify", "*/messages.keep_their_boundaries*/posix_mq");
  EXPECT_NE(status, 0);
  EXPECT_NE(said.find("has no inotify(7)"), said.npos) << said;
  EXPECT_NE(said.find("use another mechanism"), said.npos) << said;
}

/// Nor of the file system: memory and mapped files with names get them when they are complete all the
/// same, of racing makers one wins, and killed ones leave nothing that is not cleaned.
TEST(old_kernel, without_unnamed_files_makes_memory_and_files_with_names) {
  expect_to_pass("unnamed_files",
                 "shared_region.*many_at_once:shared_region.ends_with*:shared_region.of_dead*:"
                 "shared_region.*leaves_nothing:shared.object_with_a_name*:"
                 "shared.object_whose_maker*:posix_semaphore.*",
                 "memory_tests");
  expect_to_pass("unnamed_files", "*/processes_with_a_name.find_each_other*/mmap*");
}

TEST(old_kernel, with_none_of_them_does_more) {
  expect_to_pass(
      "futex_waitv,close_range,openat2,pidfd_getfd,epoll_pwait2,peer_pidfd,memfd_exec_flags",
      "*/messages.*:*/processes_that_end.*:*/processes_that_die.are_dead*:"
      "*/endings_that_are_told.*:*/readiness.*:*/listening_to_many.serves*:*/names.*:*/refusals.*");
}

}  // namespace

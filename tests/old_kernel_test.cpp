// SPDX-License-Identifier: Apache-2.0
//
// The library lives on Linux 5.15 (F32): the conformance suite's basic bodies, all mechanisms, with
// newer facilities of the kernel denied, one after the other and all at once.
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

void expect_to_pass(const std::string& denied, const std::string& bodies) {
  const std::string suite = test::program_path("conformance_tests");
  if (::access(suite.c_str(), X_OK) != 0) GTEST_SKIP() << "conformance_tests is not built";
  auto run = test::Child::start("lives_without",
                                {denied, suite, "--gtest_brief=1", "--gtest_filter=" + bodies});
  const test::Waiting waiting{"the suite without " + denied};
  const std::string said = run.read_all();
  EXPECT_EQ(run.wait(), 0) << said;
  EXPECT_NE(said.find("[  PASSED  ]"), said.npos) << said;
  EXPECT_EQ(said.find(" 0 tests"), said.npos) << "no body has such a name";
}

TEST_P(old_kernel, carries_messages_and_tells_of_death) {
  expect_to_pass(GetParam(),
                 "*/messages.keep_their_boundaries*:*/processes_that_die.are_dead*:"
                 "*/processes_with_a_name.find_each_other*");
}

TEST(old_kernel, with_none_of_them_does_more) {
  expect_to_pass(
      "futex_waitv,close_range,openat2,pidfd_getfd,epoll_pwait2,peer_pidfd,memfd_exec_flags",
      "*/messages.*:*/processes_that_end.*:*/processes_that_die.are_dead*:"
      "*/endings_that_are_told.*:*/readiness.*:*/listening_to_many.serves*:*/names.*:*/refusals.*");
}

}  // namespace

// SPDX-License-Identifier: Apache-2.0
//
// The example with coroutines, run as a user would: what it prints, and that it ends well though one
// of its processes does not.
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

#include "support/children.hpp"

namespace {

using bulkhead::test::Child;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(coroutine_example, awaited_calls_bring_results_and_the_death_of_one_process) {
  Child example = Child::start("await_calls");
  const std::string printed = example.read_all();
  EXPECT_EQ(example.wait(), 0) << printed;
  EXPECT_TRUE(contains(printed, "0 to 1000: 499500\n")) << printed;
  EXPECT_TRUE(contains(printed, "2 to 1002: 501500\n")) << printed;
  EXPECT_TRUE(contains(printed, "12 to 1012: 511500\n")) << printed;
  EXPECT_TRUE(contains(printed, "13 to 1013: sum: unlucky (")) << printed;
  EXPECT_TRUE(contains(printed, "died: SIGKILL\n")) << printed;
}

TEST(coroutine_example, two_programs_meet_at_a_name) {
  Child server =
      Child::start("echo", {"serve", "unix:@bulkhead-example-" + std::to_string(::getpid())});
  std::string heard;
  // Until the server listens there is nobody: a client that came too early is told so and ends.
  for (int tries = 0; tries < 2000 && heard.empty(); ++tries) {
    Child client = Child::start(
        "echo", {"say", "unix:@bulkhead-example-" + std::to_string(::getpid()), "ahoy"});
    heard = client.read_line();
  }
  EXPECT_EQ(heard, "ahoy");
}

}  // namespace

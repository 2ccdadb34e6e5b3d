// SPDX-License-Identifier: Apache-2.0
//
// The examples of the message queues, as users run them: programs that meet at a name.
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "support/census.hpp"
#include "support/children.hpp"

namespace bulkhead {
namespace {

TEST(example_posix_mq, does_what_is_urgent_first) {
  const std::string at = "mq:///bulkhead-test-day-" + std::to_string(::getpid());
  auto day = test::Child::start("posix_mq", {"day", at});
  EXPECT_EQ(day.read_all(), "31 fire!\n7 pump\n0 paint the hull\n0 stop\n");
  EXPECT_EQ(day.wait(), 0);
}

TEST(example_posix_mq, takes_jobs_from_other_programs) {
  const std::string at = "mq:///bulkhead-test-workshop-" + std::to_string(::getpid());
  auto early = test::Child::start("posix_mq", {"send", at, "0", "paint"});
  EXPECT_NE(early.wait(), 0) << "nobody works there yet";
  auto workshop = test::Child::start("posix_mq", {"serve", at});
  ASSERT_EQ(workshop.read_line(), "open");
  auto first = test::Child::start("posix_mq", {"send", at, "3", "paint"});
  EXPECT_EQ(first.wait(), 0);
  EXPECT_EQ(workshop.read_line(), "3 paint");
  auto last = test::Child::start("posix_mq", {"send", at, "0", "stop"});
  EXPECT_EQ(last.wait(), 0);
  EXPECT_EQ(workshop.read_line(), "0 stop");
  EXPECT_EQ(workshop.wait(), 0);
}

TEST(example_sysv_mq, counts_a_file_of_any_size) {
  const auto path = test::temporary_folder() / "words";
  {
    std::ofstream file{path};
    for (int i = 0; i < 200'000; ++i) file << "word" << (i % 7 == 0 ? '\n' : ' ');
  }
  auto both = test::Child::start("sysv_mq", {"both", "sysv://" + path.string() + "?id=9", path});
  EXPECT_EQ(both.read_line(), "200000 words");
  EXPECT_EQ(both.wait(), 0);
}

}  // namespace
}  // namespace bulkhead

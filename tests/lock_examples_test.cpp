// SPDX-License-Identifier: Apache-2.0
//
// The examples of locks in shared memory, as users run them.
#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

#include <bulkhead/names.hpp>

#include "support/children.hpp"

namespace bulkhead {
namespace {

std::string name_of(const char* what) {
  return std::string{"bulkhead-test-"} + what + "-" + std::to_string(::getpid());
}

TEST(example_lost_updates, loses_none_behind_the_lock) {
  auto both = test::Child::start("lost_updates", {"30000"});
  const std::string line = both.read_line();
  // How many without it, is chance.
  EXPECT_THAT(line, testing::StartsWith("of 60000 updates lost without a lock: "));
  EXPECT_THAT(line, testing::EndsWith(", with it: 0"));
  EXPECT_EQ(both.wait(), 0);
}

TEST(example_price_table, is_read_whole_while_it_is_written_and_after_its_writer_was_killed) {
  const std::string name = name_of("prices");
  auto writer = test::Child::start("price_table", {"write", name, "1000"});
  ASSERT_EQ(writer.read_line(), "written");
  auto busy = test::Child::start("price_table", {"write", name, "100000000"});
  for (int i = 0; i < 20; ++i) {
    if (i == 10) busy.kill();
    auto reader = test::Child::start("price_table", {"read", name});
    for (int metal = 0; metal < 3; ++metal) {
      const std::string line = reader.read_line();
      EXPECT_EQ(std::stoll(line) + 2, std::stoll(line.substr(line.find(' ')))) << line;
    }
    EXPECT_EQ(reader.wait(), 0);
  }
  busy.wait();
  writer.close_input();
  EXPECT_EQ(writer.wait(), 0);
  or_throw(remove_stale_names());  // the killed one's note that it used the table
}

TEST(example_bounded_buffer, hands_on_each_number_once) {
  const std::string name = name_of("numbers");
  auto one = test::Child::start("bounded_buffer", {"use", name, "1000"});
  auto two = test::Child::start("bounded_buffer", {"use", name, "1000"});
  auto maker = test::Child::start("bounded_buffer", {"make", name, "2000"});
  EXPECT_EQ(std::stoll(one.read_line()) + std::stoll(two.read_line()), 2000 * 2001 / 2);
  EXPECT_EQ(one.wait() + two.wait() + maker.wait(), 0);
}

}  // namespace
}  // namespace bulkhead

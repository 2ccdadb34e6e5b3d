// SPDX-License-Identifier: Apache-2.0
//
// The examples of the pipes, as users run them.
#include <algorithm>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <vector>

#include "support/census.hpp"
#include "support/children.hpp"

namespace bulkhead {
namespace {

TEST(example_pipe, counts_words_and_tells_a_child_that_died) {
  const auto path = test::temporary_folder() / "words";
  std::ofstream{path} << "four words of text";
  auto counter = test::Child::start("pipe", {path, "/no/such/file", path});
  EXPECT_EQ(counter.read_line(), path.string() + ": 4 words");
  EXPECT_THAT(counter.read_line(),
              testing::AllOf(testing::StartsWith("/no/such/file: "), testing::HasSubstr("died")));
  EXPECT_EQ(counter.read_line(), path.string() + ": 4 words");
  EXPECT_EQ(counter.wait(), 0);
}

TEST(example_named_pipe, collects_the_lines_of_many_programs) {
  const std::string at = "fifo://" + test::temporary_folder().string() + "/log";
  auto collector = test::Child::start("named_pipe", {"collect", at});
  ASSERT_EQ(collector.read_line(), "collecting");
  std::vector<std::string> lines{"one", "two", std::string(20'000, 'x'), "four"};
  std::vector<test::Child> writers;
  for (const auto& line : lines) {
    writers.push_back(test::Child::start("named_pipe", {"log", at, line}));
  }
  std::vector<std::string> got;
  for (std::size_t i = 0; i < lines.size(); ++i) got.push_back(collector.read_line());
  EXPECT_THAT(got, testing::UnorderedElementsAreArray(lines));
  for (auto& writer : writers) EXPECT_EQ(writer.wait(), 0);
  auto last = test::Child::start("named_pipe", {"log", at, "stop"});
  EXPECT_EQ(last.wait(), 0);
  EXPECT_EQ(collector.read_line(), "stop");
  EXPECT_EQ(collector.wait(), 0);
}

}  // namespace
}  // namespace bulkhead

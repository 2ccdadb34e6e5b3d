// SPDX-License-Identifier: Apache-2.0
//
// The Pool as a program that uses it sees it: maps, single calls, options, what comes back of each
// kind of failure.
#include <coroutine>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

#include <bulkhead/asio.hpp>
#include <bulkhead/pool.hpp>

#include "support/census.hpp"
#include "support/process_roles.hpp"

namespace {

using namespace bulkhead;
using namespace bulkhead::test;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

int square(int number) { return number * number; }

std::vector<int> numbers(int count) {
  std::vector<int> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

TEST(pool, a_map_gives_each_input_with_its_result_in_order) {
  Pool pool{{.workers = 2}};
  int expected = 0;
  for (auto& [number, result] : pool.map<square>(numbers(1000))) {
    ASSERT_EQ(number, expected);
    ASSERT_TRUE(result) << result.error();
    ASSERT_EQ(*result, expected * expected);
    ++expected;
  }
  EXPECT_EQ(expected, 1000);
}

TEST(pool, an_unordered_map_gives_each_input_once) {
  Pool pool{{.workers = 2}};
  std::vector<int> seen;
  for (auto& [number, result] : pool.map_unordered<square>(numbers(1000))) {
    ASSERT_TRUE(result) << result.error();
    EXPECT_EQ(*result, number * number);
    seen.push_back(number);
  }
  std::ranges::sort(seen);
  EXPECT_EQ(seen, numbers(1000));
}

TEST(pool, one_call_comes_back_as_a_future) {
  Pool pool{{.workers = 1}};
  auto nine = pool.submit<square>(3);
  auto text =
      pool.submit<[](const std::string& a, int n) { return a + std::to_string(n); }>("a", 7);
  EXPECT_EQ(or_exit(text.get(20s)), "a7");
  EXPECT_EQ(or_exit(nine.get(20s)), 9);
  EXPECT_EQ(nine.get(0s).error(), ErrorKind::invalid);
}

}  // namespace

// SPDX-License-Identifier: Apache-2.0
//
// What some mechanisms can beyond a connection: messages that outlive both ends, and messages that
// overtake others. The rows that cannot refuse it (refusals_test.cpp).
#include "conformance/conformance.hpp"

namespace bulkhead::conformance {
namespace {

class messages_that_survive : public Conformance {
 protected:
  /// Both ends at a place that others may have been at before.
  Ends meet_again(const std::string& at) {
    if (!GetParam().has_listener) {
      auto first = or_throw(connect_to(at));
      return {std::move(first), or_throw(connect(at, 20s, other_options()))};
    }
    auto listener = or_throw(listen_at(at));
    auto first = or_throw(connect_to(at));
    return {std::move(first), or_throw(listener.accept(20s))};
  }
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(messages_that_survive);
INSTANTIATE_TEST_SUITE_P(mechanisms, messages_that_survive,
                         testing::ValuesIn(rows_where(that_survive, with_addresses)), row_name);

TEST_P(messages_that_survive, are_there_when_both_ends_have_gone_and_come_again) {
  const std::string at = address();
  for (std::uint64_t round = 0; round < 3; ++round) {
    {
      auto ends = meet_again(at);
      for (auto [from, to] : ways(ends)) {
        for (std::uint64_t i = 0; i < 3; ++i) {
          ASSERT_TRUE(ok(from.send(content(round * 10 + i, 100 * i), 20s)));
        }
      }
    }
    auto ends = meet_again(at);
    for (auto [from, to] : ways(ends)) {
      for (std::uint64_t i = 0; i < 3; ++i) {
        auto got = to.receive(20s);
        ASSERT_TRUE(ok(got)) << "round " << round;
        EXPECT_TRUE(has_content(got->bytes(), round * 10 + i, 100 * i));
      }
    }
  }
}

class messages_with_priority : public Conformance {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(messages_with_priority);
INSTANTIATE_TEST_SUITE_P(mechanisms, messages_with_priority,
                         testing::ValuesIn(rows_where(with_priority)), row_name);

TEST_P(messages_with_priority, overtake_what_waits_and_keep_their_order_otherwise) {
  auto ends = make_pair();
  for (auto [from, to] : ways(ends)) {
    const std::vector<std::pair<unsigned, std::string>> sent{
        {0, "usual"}, {5, "first of five"}, {31, "highest"}, {5, "second of five"}, {1, "low"}};
    for (const auto& [priority, text] : sent) {
      Message message{as_bytes(text)};
      message.set_priority(priority);
      ASSERT_TRUE(ok(from.send(message, 20s)));
    }
    for (const char* text : {"highest", "first of five", "second of five", "low", "usual"}) {
      auto got = to.receive(20s);
      ASSERT_TRUE(ok(got));
      EXPECT_EQ(got->text(), text);
    }
  }
}

TEST_P(messages_with_priority, of_any_size_overtake_whole) {
  auto ends = make_pair();
  std::jthread sender{[&] {
    for (std::uint64_t i = 0; i < 200; ++i) {
      Message message{content(i, i * 200)};
      message.set_priority(static_cast<unsigned>(i % 32));
      ASSERT_TRUE(ok(ends.here.send(message, 20s)));
    }
  }};
  std::vector<bool> seen(200, false);
  for (int i = 0; i < 200; ++i) {
    auto got = ends.there.receive(20s);
    ASSERT_TRUE(ok(got));
    const std::size_t which = got->size() / 200;
    ASSERT_LT(which, seen.size());
    EXPECT_FALSE(seen[which]);
    seen[which] = true;
    EXPECT_TRUE(has_content(got->bytes(), which, which * 200));
  }
}

}  // namespace
}  // namespace bulkhead::conformance

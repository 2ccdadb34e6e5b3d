// SPDX-License-Identifier: Apache-2.0
#include "transport/queue_reader.hpp"

#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace bulkhead::transport {
namespace {

using queue_frame::Header;
using queue_frame::Type;
using Step = QueueReader::Step;

constexpr std::size_t unit_bytes = 128;

std::string head(Type type, std::size_t size) {
  const Header header{.type = static_cast<std::uint8_t>(type),
                      .size = static_cast<std::uint32_t>(size)};
  return {reinterpret_cast<const char*>(&header), sizeof header};
}

std::string entry(const std::string& text) {
  const auto size = static_cast<queue_frame::EntrySize>(text.size());
  return std::string{reinterpret_cast<const char*>(&size), sizeof size} + text;
}

class queue_reader : public testing::Test {
 protected:
  Result<Step> take(const std::string& unit, unsigned priority = 0) {
    const auto room = reader_.room();
    EXPECT_EQ(room.size(), unit_bytes);
    std::memcpy(room.data(), unit.data(), unit.size());
    return reader_.take(unit.size(), priority, message_);
  }
  void expect_delivered(const std::string& unit, const std::string& text, unsigned priority = 0) {
    const auto step = take(unit, priority);
    ASSERT_TRUE(step) << step.error().sentence();
    ASSERT_EQ(*step, Step::delivered);
    EXPECT_EQ(message_.text(), text);
    EXPECT_EQ(message_.priority(), priority);
  }
  void expect_more(const std::string& unit, unsigned priority = 0) {
    const auto step = take(unit, priority);
    ASSERT_TRUE(step) << step.error().sentence();
    EXPECT_EQ(*step, Step::more);
  }
  void expect_refused(const std::string& unit, unsigned priority = 0,
                      ErrorKind kind = ErrorKind::corrupt) {
    const auto step = take(unit, priority);
    ASSERT_FALSE(step);
    EXPECT_EQ(step.error().kind(), kind) << step.error().sentence();
  }
  std::string first_of(std::size_t size, char letter) {
    return head(Type::message, size) + std::string(unit_bytes - sizeof(Header), letter);
  }

  QueueReader reader_{unit_bytes, {.trust = Trust::untrusted, .max_message_bytes = 100'000}};
  Message message_;
};

TEST_F(queue_reader, delivers_what_fits_one_unit) {
  expect_delivered(head(Type::message, 5) + "hello", "hello");
  expect_delivered(head(Type::message, 0), "", 31);
}

TEST_F(queue_reader, puts_a_long_message_together) {
  expect_more(first_of(300, 'a'));
  expect_more(std::string(unit_bytes, 'b'));
  expect_delivered(std::string(52, 'c'),
                   std::string(120, 'a') + std::string(128, 'b') + std::string(52, 'c'));
  expect_delivered(head(Type::message, 1) + "x", "x");
}

TEST_F(queue_reader, forgets_what_is_taken_back) {
  expect_more(first_of(300, 'a'));
  expect_more("");
  expect_delivered(head(Type::message, 1) + "x", "x");
}

TEST_F(queue_reader, lets_urgent_ones_overtake_the_rest_of_a_message) {
  expect_more(first_of(300, 'a'));
  expect_delivered(head(Type::message, 2) + "hi", "hi", 5);
  expect_more(std::string(unit_bytes, 'b'));
  expect_more(first_of(200, 'c'), 9);
  expect_delivered(std::string(52, 'b'),
                   std::string(120, 'a') + std::string(128, 'b') + std::string(52, 'b'));
  expect_delivered(std::string(80, 'd'), std::string(120, 'c') + std::string(80, 'd'), 9);
}

TEST_F(queue_reader, lets_urgent_ones_overtake_a_message_that_is_taken_back) {
  expect_more(first_of(300, 'a'));
  expect_more(first_of(200, 'c'), 9);
  expect_delivered(std::string(80, 'd'), std::string(120, 'c') + std::string(80, 'd'), 9);
  expect_more(std::string(unit_bytes, 'b'));
  expect_more("");
  expect_delivered(head(Type::message, 2) + "ok", "ok");
}

TEST_F(queue_reader, delivers_a_batch_one_by_one) {
  const std::string entries = entry("one") + entry("") + entry("three");
  expect_delivered(head(Type::batch, entries.size()) + entries, "one");
  ASSERT_TRUE(reader_.next_of_batch(message_));
  EXPECT_EQ(message_.text(), "");
  ASSERT_TRUE(reader_.next_of_batch(message_));
  EXPECT_EQ(message_.text(), "three");
  EXPECT_FALSE(reader_.next_of_batch(message_));
}

TEST_F(queue_reader, refuses_a_unit_that_does_not_fit_its_header) {
  expect_refused(head(Type::message, 5) + "hell");
}
TEST_F(queue_reader, refuses_a_unit_without_a_header) { expect_refused("abc"); }
TEST_F(queue_reader, refuses_an_unknown_priority) { expect_refused(head(Type::message, 0), 32); }
TEST_F(queue_reader, refuses_more_than_the_maximum) { expect_refused(first_of(100'001, 'a')); }
TEST_F(queue_reader, refuses_a_batch_that_is_cut_short) {
  expect_refused(head(Type::batch, 3) + "abc");
}
TEST_F(queue_reader, refuses_a_batch_with_a_priority) { expect_refused(head(Type::batch, 0), 1); }
TEST_F(queue_reader, refuses_a_piece_of_the_wrong_size) {
  expect_more(first_of(300, 'a'));
  expect_refused("short");
}
TEST_F(queue_reader, tells_of_another_version) {
  std::string other = head(Type::message, 0);
  other[1] = 9;
  expect_refused(other, 0, ErrorKind::incompatible);
}

}  // namespace
}  // namespace bulkhead::transport

// SPDX-License-Identifier: Apache-2.0
#include "os/crc32c.hpp"

#include <gtest/gtest.h>
#include <string_view>
#include <vector>

namespace bulkhead::os {
namespace {

TEST(crc32c, is_that_of_the_iscsi_standard) {
  EXPECT_EQ(crc32c({}), 0u);
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283u);
  // RFC 3720, B.4: 32 bytes of zero, of ones, and counting up.
  std::vector<std::byte> bytes(32);
  EXPECT_EQ(crc32c(bytes), 0x8a9136aau);
  for (auto& byte : bytes) byte = std::byte{0xff};
  EXPECT_EQ(crc32c(bytes), 0x62a8ab43u);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  EXPECT_EQ(crc32c(bytes), 0x46dd794eu);
}

TEST(crc32c, is_the_same_by_table_and_by_instruction_and_in_parts) {
  std::vector<std::byte> bytes(300);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 37 + i / 7);
  for (std::size_t from = 0; from < 9; ++from) {
    for (std::size_t size = 0; size + from <= bytes.size(); ++size) {
      const auto part = Bytes{bytes}.subspan(from, size);
      const auto whole = crc32c(part);
      ASSERT_EQ(crc32c_by_table(part), whole);
      const auto half = size / 2;
      ASSERT_EQ(crc32c(part.subspan(half), crc32c(part.first(half))), whole);
    }
  }
}

TEST(crc32c, is_the_same_for_long_ones_that_are_summed_up_in_lanes) {
  std::vector<std::byte> bytes(20'000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 91 + i / 13);
  for (std::size_t size = 3'000; size + 5 < bytes.size(); size += 211) {
    const auto part = Bytes{bytes}.subspan(size % 5, size);
    ASSERT_EQ(crc32c(part, 77), crc32c_by_table(part, 77)) << size;
  }
}

TEST(crc32c, changes_with_every_bit) {
  std::vector<std::byte> bytes(64, std::byte{0x5a});
  const auto before = crc32c(bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_NE(crc32c(bytes), before);
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
  }
}

}  // namespace
}  // namespace bulkhead::os

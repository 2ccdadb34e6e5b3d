// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/copy.hpp"

#include <gtest/gtest.h>
#include <vector>

namespace bulkhead::transport::shm {
namespace {

TEST(shm_copy, takes_its_own_way_exactly_where_the_library_is_slow) {
  alignas(4096) static std::byte room[3 * 4096];
  std::byte* const from = room;
  EXPECT_FALSE(is_slow_copy(from + 4096, from, 4096));
  EXPECT_TRUE(is_slow_copy(from + 4097, from, 4096));
  EXPECT_TRUE(is_slow_copy(from + 4096 + 63, from, 4096));
  EXPECT_FALSE(is_slow_copy(from + 4096 + 64, from, 4096));
  EXPECT_FALSE(is_slow_copy(from + 4096 + 8, from, 2047));
  EXPECT_TRUE(is_slow_copy(from + 4096 + 8, from, 2048));
  EXPECT_TRUE(is_slow_copy(from, from + 4096 - 8, 2048)) << "the distance counts, not who is first";
}

TEST(shm_copy, copies_every_byte_and_no_other_at_any_size_and_distance) {
  constexpr std::size_t longest = 6000;
  std::vector<std::byte> from(longest + 64);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(i * 7 + i / 251);
  constexpr std::size_t sizes[] = {0,  1,  7,    8,    31,   32,   33,   63,
                                   64, 65, 2047, 2048, 2049, 4088, 4096, 6000};
  for (const std::size_t size : sizes) {
    for (std::size_t shift = 0; shift < 64; shift += 9) {
      std::vector<std::byte> to(longest + 128, std::byte{0xee});
      copy_bytes(to.data() + shift, from.data(), size);
      EXPECT_EQ(std::memcmp(to.data() + shift, from.data(), size), 0) << size << " at " << shift;
      for (std::size_t i = 0; i < shift; ++i) ASSERT_EQ(to[i], std::byte{0xee});
      ASSERT_EQ(to[shift + size], std::byte{0xee});

      std::vector<std::byte> again(longest + 128, std::byte{0xee});
      copy_by_vectors(again.data() + shift, from.data(), size);
      ASSERT_EQ(to, again);
    }
  }
}

}  // namespace
}  // namespace bulkhead::transport::shm

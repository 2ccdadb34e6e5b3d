// SPDX-License-Identifier: Apache-2.0
//
// A2: cursors that go backwards, jump, or forge a wrap.
#include "transport/shm/hostile_view.hpp"

#include <gtest/gtest.h>
#include <random>

namespace bulkhead::transport::shm {
namespace {

using Seen = PeerCursor::Seen;
constexpr std::uint64_t near_wrap = ~std::uint64_t{0} - 999;  // 2^64 - 1000

TEST(shm_hostile_view, a_cursor_may_stand_or_advance_to_the_furthest_possible) {
  PeerCursor cursor{0};
  EXPECT_EQ(cursor.judge(0, 4096), Seen::same);
  EXPECT_EQ(cursor.judge(8, 4096), Seen::moved);
  EXPECT_EQ(cursor.judge(4096, 4096), Seen::moved);
  EXPECT_EQ(cursor.judge(4096, 4096), Seen::same);
}

TEST(shm_hostile_view, a_cursor_that_goes_back_jumps_or_is_crooked_is_a_lie) {
  PeerCursor cursor{4096};
  for (std::uint64_t lie : {std::uint64_t{4088}, std::uint64_t{0}, std::uint64_t{8200},
                            std::uint64_t{4097}, std::uint64_t{4100}, ~std::uint64_t{0}}) {
    EXPECT_EQ(cursor.judge(lie, 8192), Seen::lie) << lie;
    EXPECT_EQ(cursor.accepted(), 4096U);
  }
}

TEST(shm_hostile_view, a_cursor_wraps_at_two_to_the_64th) {
  PeerCursor cursor{near_wrap};
  EXPECT_EQ(cursor.judge(near_wrap + 4096, near_wrap + 4096), Seen::moved);
  EXPECT_LT(cursor.accepted(), near_wrap) << "it has wrapped";
  EXPECT_EQ(cursor.judge(near_wrap, cursor.accepted() + 4096), Seen::lie);
}

TEST(shm_hostile_view, of_all_pairs_around_a_cursor_only_possible_ones_are_believed) {
  // Every (accepted, value) within 256 steps, below and across the wrap, against the definition.
  for (std::uint64_t base : {std::uint64_t{1} << 20, near_wrap - near_wrap % 8}) {
    for (std::int64_t ahead = 0; ahead <= 512; ahead += 8) {  // accepted before the furthest
      for (std::int64_t step = -1024; step <= 1024; ++step) {
        PeerCursor cursor{base};
        const std::uint64_t furthest = base + static_cast<std::uint64_t>(ahead);
        const auto seen = cursor.judge(base + static_cast<std::uint64_t>(step), furthest);
        const bool possible = step >= 0 && step <= ahead && step % 8 == 0;
        ASSERT_EQ(seen, step == 0  ? Seen::same
                        : possible ? Seen::moved
                                   : Seen::lie)
            << base << " + " << step << " of " << ahead;
      }
    }
  }
}

TEST(shm_hostile_view, of_random_values_only_possible_ones_are_believed) {
  std::mt19937_64 random{7};
  for (int i = 0; i < 1'000'000; ++i) {
    const std::uint64_t base = random();
    const std::uint64_t furthest = base + random() % (std::uint64_t{1} << 30);
    const std::uint64_t value =
        (i & 1) != 0 ? random() : base + random() % (std::uint64_t{1} << 31);
    PeerCursor cursor{base};
    const auto seen = cursor.judge(value, furthest);
    const bool possible = value - base <= furthest - base && (value - base) % 8 == 0;
    ASSERT_EQ(seen == Seen::lie, !possible);
    ASSERT_EQ(cursor.accepted(), possible ? value : base);
  }
}

}  // namespace
}  // namespace bulkhead::transport::shm

// SPDX-License-Identifier: Apache-2.0
#include "renderer/tiles.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <set>

namespace porthole {
namespace {

constexpr Size viewport{.width = 512, .height = 256};  // at most 3 x 2 tiles
constexpr Rect top{.x = 0, .y = 0, .width = 512, .height = 256};
constexpr Size content{.width = 512, .height = 4096};

std::vector<std::uint32_t> slots_of(const Submission& submission) {
  std::vector<std::uint32_t> slots;
  for (const Tile& tile : submission.tiles) slots.push_back(tile.slot);
  return slots;
}

TEST(tiles, there_are_slots_for_two_viewports) {
  auto tiles = bulkhead::or_throw(Tiles::create(viewport));
  EXPECT_EQ(tiles.slots(), 2 * 3 * 2U);
  auto shared = bulkhead::or_throw(tiles.share());
  EXPECT_EQ(shared.size(), tiles.slots() * tile_bytes);
  EXPECT_FALSE(shared.writable());
  EXPECT_EQ(shared.state(), bulkhead::Region::State::published);
}

TEST(tiles, only_what_is_missing_is_painted) {
  auto tiles = bulkhead::or_throw(Tiles::create(viewport));
  EXPECT_EQ(tiles.prepare(top, content).targets.size(), 2U);
  EXPECT_EQ(tiles.prepare(top, content).targets.size(), 0U);
  const Rect lower{.x = 0, .y = 200, .width = 512, .height = 256};
  const auto work = tiles.prepare(lower, content);
  ASSERT_EQ(work.targets.size(), 2U);
  EXPECT_EQ(work.targets[0].area, (Rect{.x = 0, .y = 256, .width = 256, .height = 256}));
}

TEST(tiles, nothing_is_painted_beyond_the_page) {
  auto tiles = bulkhead::or_throw(Tiles::create(viewport));
  EXPECT_EQ(tiles.prepare(top, {.width = 10, .height = 10}).targets.size(), 1U);
}

TEST(tiles, a_shown_slot_is_not_painted_until_it_is_released) {
  auto tiles = bulkhead::or_throw(Tiles::create(viewport));
  tiles.prepare(top, content);
  const auto first = slots_of(tiles.submission(top, top));
  tiles.invalidate();
  tiles.prepare(top, content);
  const auto second = slots_of(tiles.submission(top, top));
  for (const std::uint32_t slot : second) EXPECT_EQ(std::ranges::count(first, slot), 0);
  const std::size_t before = tiles.free_slots();
  tiles.released(second);  // a lie: they are shown
  EXPECT_EQ(tiles.free_slots(), before);
  tiles.released(first);
  EXPECT_EQ(tiles.free_slots(), before + 2);
  tiles.released(first);  // again: no more than that
  EXPECT_EQ(tiles.free_slots(), before + 2);
  tiles.released(std::vector<std::uint32_t>{77'777});
}

TEST(tiles, without_free_slots_one_has_to_wait) {
  auto tiles = bulkhead::or_throw(Tiles::create(viewport));
  std::vector<std::uint32_t> first;
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(tiles.prepare(top, content).enough) << i;
    const auto slots = slots_of(tiles.submission(top, top));
    if (i == 0) first = slots;
    tiles.invalidate();
  }
  EXPECT_FALSE(tiles.prepare(top, content).enough);
  tiles.released(first);
  EXPECT_TRUE(tiles.prepare(top, content).enough);
}

TEST(tiles, what_was_painted_but_never_shown_is_free_again) {
  auto tiles = bulkhead::or_throw(Tiles::create(viewport));
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(tiles.prepare(top, content).enough);
    tiles.invalidate();
  }
  EXPECT_EQ(tiles.free_slots(), tiles.slots());
}

TEST(tiles, a_new_gpu_process_holds_only_what_is_shown) {
  auto tiles = bulkhead::or_throw(Tiles::create(viewport));
  tiles.prepare(top, content);
  tiles.submission(top, top);
  tiles.invalidate();
  tiles.prepare(top, content);
  tiles.submission(top, top);
  EXPECT_EQ(tiles.free_slots(), tiles.slots() - 4U);
  tiles.restart();
  EXPECT_EQ(tiles.free_slots(), tiles.slots() - 2U);
}

TEST(tiles, what_is_painted_in_advance_leaves_room_for_a_whole_viewport) {
  auto tiles = bulkhead::or_throw(Tiles::create(viewport));
  const Rect all{.x = 0, .y = 0, .width = 512, .height = 4096};
  tiles.prepare(top, content);
  EXPECT_FALSE(tiles.prepare(all, content, Tiles::Use::in_advance).enough);
  EXPECT_EQ(tiles.free_slots(), tiles.slots() / 2U);
  EXPECT_EQ(tiles.submission(top, all).tiles.size(), tiles.slots() / 2U);
}

TEST(tiles, what_lies_around_stays_while_there_is_room) {
  auto tiles = bulkhead::or_throw(Tiles::create(viewport));
  const Rect four_rows{.x = 0, .y = 0, .width = 512, .height = 1024};
  const Rect second{.x = 0, .y = 256, .width = 512, .height = 256};
  tiles.prepare({.x = 0, .y = 0, .width = 512, .height = 768}, content);
  EXPECT_EQ(tiles.submission(top, four_rows).tiles.size(), 6U);
  tiles.prepare(four_rows, content);
  EXPECT_EQ(tiles.submission(second, four_rows).tiles.size(), 2U);  // 8 would be too many
}

}  // namespace
}  // namespace porthole

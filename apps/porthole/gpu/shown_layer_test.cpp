// SPDX-License-Identifier: Apache-2.0
//
// What a layer takes from its producer, and every lie that it does not take.
#include "gpu/shown_layer.hpp"

#include <gtest/gtest.h>
#include <limits>
#include <string>

#include "common/tile_slots.hpp"

namespace {

using namespace bulkhead;
using namespace porthole;

Region tiles(std::uint32_t slots) { return or_throw(or_throw(TileSlots::create(slots)).share()); }

Submission page(std::uint64_t frame, std::vector<Tile> shown) {
  return {.frame = frame, .content = {.width = 800, .height = 600}, .tiles = std::move(shown)};
}

ShownLayer layer_with(std::uint32_t slots) {
  ShownLayer layer;
  or_throw(layer.replace_segment(tiles(slots), slots));
  return layer;
}

std::string refusal(const auto& result) {
  return result ? std::string("it was taken") : result.error().sentence();
}

TEST(shown_layer, shows_what_was_submitted_last) {
  ShownLayer layer = layer_with(4);
  EXPECT_FALSE(layer.surface({}));
  ASSERT_TRUE(layer.submit(page(1, {{0, 0, 3}, {3, 2, 0}})));
  EXPECT_EQ(layer.frame(), 1U);
  const auto surface = layer.surface({.x = 5, .y = 6, .width = 70, .height = 80});
  ASSERT_TRUE(surface);
  ASSERT_EQ(surface->tiles.size(), 2U);
  EXPECT_EQ(surface->tiles[1].at, (Point{768, 512}));
  EXPECT_EQ(surface->tiles[1].pixels.size(), tile_bytes);
  EXPECT_EQ(surface->tiles[0].pixels.data() - surface->tiles[1].pixels.data(),
            static_cast<std::ptrdiff_t>(3 * tile_bytes));
}

TEST(shown_layer, a_slot_that_is_not_named_any_more_is_released_once) {
  ShownLayer layer = layer_with(4);
  EXPECT_TRUE(or_throw(layer.submit(page(1, {{0, 0, 1}, {1, 0, 1}, {2, 0, 2}}))).empty());
  EXPECT_EQ(or_throw(layer.submit(page(2, {{0, 0, 2}, {1, 0, 3}}))), std::vector<std::uint32_t>{1});
  EXPECT_EQ(or_throw(layer.submit(page(3, {}))), (std::vector<std::uint32_t>{2, 3}));
}

TEST(shown_layer, a_tile_keeps_its_version_until_its_slot_may_be_painted_again) {
  ShownLayer layer = layer_with(4);
  const auto versions = [&](std::uint64_t frame, std::vector<Tile> shown) {
    EXPECT_TRUE(layer.submit(page(frame, std::move(shown))));
    std::vector<std::uint64_t> found;
    const auto surface = layer.surface({});
    for (const auto& tile : surface->tiles) found.push_back(tile.version);
    return found;
  };
  using Versions = std::vector<std::uint64_t>;
  EXPECT_EQ(versions(1, {{0, 0, 3}, {1, 0, 2}, {2, 0, 3}}), (Versions{1, 2, 1}));
  EXPECT_EQ(versions(2, {{0, 0, 3}, {1, 0, 1}}), (Versions{1, 3}));
  EXPECT_EQ(versions(3, {{0, 0, 2}, {1, 0, 3}}), (Versions{4, 1}));  // slot 2 was free meanwhile
  ASSERT_TRUE(layer.replace_segment(tiles(4), 4));
  EXPECT_EQ(layer.surface({})->tiles.back().version, 1U);
  EXPECT_EQ(versions(4, {{0, 0, 2}, {1, 0, 3}}), (Versions{5, 6}));
}

TEST(shown_layer, a_new_segment_is_shown_with_the_next_submission_and_the_old_one_until_then) {
  ShownLayer layer = layer_with(2);
  ASSERT_TRUE(layer.submit(page(1, {{0, 0, 1}})));
  ASSERT_TRUE(layer.replace_segment(tiles(8), 8));
  ASSERT_TRUE(layer.surface({}));
  EXPECT_EQ(layer.surface({})->tiles.size(), 1U);
  EXPECT_TRUE(or_throw(layer.submit(page(2, {{0, 0, 7}}))).empty());
  EXPECT_EQ(layer.surface({})->tiles.size(), 1U);
}

TEST(shown_layer, a_frame_that_does_not_count_up_is_refused) {
  ShownLayer layer = layer_with(1);
  EXPECT_EQ(refusal(layer.submit(page(0, {}))), "submit: frame 0 comes after frame 0");
  ASSERT_TRUE(layer.submit(page(7, {})));
  EXPECT_EQ(refusal(layer.submit(page(7, {}))), "submit: frame 7 comes after frame 7");
  EXPECT_TRUE(layer.submit(page(8, {})));
}

TEST(shown_layer, a_slot_beyond_the_segment_is_refused_and_what_was_shown_stays) {
  ShownLayer layer = layer_with(2);
  ASSERT_TRUE(layer.submit(page(1, {{0, 0, 1}})));
  EXPECT_EQ(refusal(layer.submit(page(2, {{0, 0, 0}, {1, 0, 2}}))),
            "submit: the tile in column 1, row 0 is in slot 2 of 2");
  EXPECT_EQ(layer.frame(), 1U);
  EXPECT_EQ(layer.surface({})->tiles.size(), 1U);
}

TEST(shown_layer, a_slot_of_the_old_segment_is_refused_when_the_new_one_is_smaller) {
  ShownLayer layer = layer_with(8);
  ASSERT_TRUE(layer.submit(page(1, {{0, 0, 7}})));
  ASSERT_TRUE(layer.replace_segment(tiles(2), 2));
  EXPECT_FALSE(layer.submit(page(2, {{0, 0, 7}})));
  EXPECT_TRUE(layer.submit(page(2, {{0, 0, 1}})));
}

TEST(shown_layer, a_tile_without_a_segment_is_refused) {
  ShownLayer layer;
  EXPECT_EQ(refusal(layer.submit(page(1, {{0, 0, 0}}))),
            "submit: the tile in column 0, row 0 is in slot 0 of 0");
  EXPECT_TRUE(layer.submit(page(1, {})));
}

TEST(shown_layer, a_tile_outside_of_the_page_is_refused) {
  ShownLayer layer = layer_with(1);
  constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();
  constexpr std::int32_t least = std::numeric_limits<std::int32_t>::min();
  for (const Tile& tile : {Tile{4, 0, 0}, Tile{0, 3, 0}, Tile{-1, 0, 0}, Tile{0, -1, 0},
                           Tile{most, 0, 0}, Tile{0, most, 0}, Tile{least, least, 0}}) {
    const std::string why = refusal(layer.submit(page(1, {tile})));
    EXPECT_NE(why.find("is outside of the page of 800 x 600"), std::string::npos) << why;
  }
  EXPECT_TRUE(layer.submit(page(1, {{3, 2, 0}})));
}

TEST(shown_layer, a_tile_that_is_there_twice_is_refused) {
  ShownLayer layer = layer_with(2);
  EXPECT_EQ(refusal(layer.submit(page(1, {{1, 1, 0}, {0, 0, 0}, {1, 1, 1}}))),
            "submit: the tile in column 1, row 1 is there twice");
}

TEST(shown_layer, more_tiles_than_a_segment_can_have_are_refused) {
  ShownLayer layer = layer_with(1);
  Submission many = page(1, std::vector<Tile>(max_slots + 1));
  EXPECT_EQ(refusal(layer.submit(std::move(many))), "submit: 4097 tiles are too many");
}

TEST(shown_layer, a_page_or_a_scroll_offset_of_absurd_size_is_refused) {
  ShownLayer layer = layer_with(1);
  for (const Size& size : {Size{-1, 1}, Size{1, -1}, Size{max_page_side + 1, 1},
                           Size{1, std::numeric_limits<std::int32_t>::max()}}) {
    Submission submission = page(1, {});
    submission.content = size;
    EXPECT_FALSE(layer.submit(submission)) << size.width << " x " << size.height;
  }
  Submission far = page(1, {});
  far.scroll.y = std::numeric_limits<std::int32_t>::min();
  EXPECT_FALSE(layer.submit(far));
  far.scroll.y = 100;
  EXPECT_TRUE(layer.submit(far));
}

TEST(shown_layer, a_segment_that_is_not_as_large_as_it_says_is_refused) {
  ShownLayer layer;
  EXPECT_EQ(refusal(layer.replace_segment(tiles(2), 3)),
            "segment: it has 524288 bytes, which is not 3 tiles");
  EXPECT_FALSE(layer.replace_segment(tiles(2), 1));
  EXPECT_FALSE(layer.replace_segment(tiles(1), 0));
  EXPECT_FALSE(layer.replace_segment(tiles(1), std::numeric_limits<std::uint32_t>::max()));
}

TEST(shown_layer, a_segment_that_could_shrink_is_refused) {
  ShownLayer layer;
  EXPECT_EQ(refusal(layer.replace_segment(or_throw(Region::create(tile_bytes)), 1)),
            "segment: it is not sealed and could shrink");
}

}  // namespace

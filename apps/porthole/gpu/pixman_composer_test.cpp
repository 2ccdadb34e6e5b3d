// SPDX-License-Identifier: Apache-2.0
//
// What the CPU's composer draws, pixel by pixel.
#include "gpu/pixman_composer.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

#include "interfaces/layers.hpp"

namespace {

using namespace bulkhead;
using namespace porthole;

/// A tile of one colour, apart from its upper left pixel.
class Painted {
 public:
  Painted(std::uint32_t color, std::uint32_t corner) : pixels_(tile_side * tile_side, color) {
    pixels_[0] = corner;
  }
  Bytes bytes() const { return std::as_bytes(std::span{pixels_}); }

 private:
  std::vector<std::uint32_t> pixels_;
};

std::uint32_t pixel(const Picture& picture, int x, int y) {
  std::uint32_t value = 0;
  const auto at = static_cast<std::size_t>(y * picture.size.width + x) * sizeof value;
  std::memcpy(&value, picture.pixels.bytes().data() + at, sizeof value);
  return value;
}

constexpr std::uint32_t red = 0xffff0000;
constexpr std::uint32_t green = 0xff00ff00;
constexpr std::uint32_t blue = 0xff0000ff;
constexpr std::uint32_t white = 0xffffffff;

TEST(pixman_composer, an_output_without_layers_is_white_and_frozen) {
  PixmanComposer composer;
  const Picture picture = or_throw(composer.compose({3, 2}, {}));
  EXPECT_EQ(picture.size, (Size{3, 2}));
  EXPECT_EQ(picture.pixels.state(), Region::State::frozen);
  ASSERT_EQ(picture.pixels.size(), 24U);
  for (int y = 0; y < 2; ++y) {
    for (int x = 0; x < 3; ++x) EXPECT_EQ(pixel(picture, x, y), white);
  }
}

TEST(pixman_composer, tiles_lie_where_the_page_and_its_scrolling_put_them) {
  const Painted first(red, blue);
  const Painted second(green, blue);
  const std::array surfaces{
      Surface{.place = {10, 20, 400, 400},
              .scroll = {5, 7},
              .background = 0xff808080,
              .tiles = {{{0, 0}, first.bytes()}, {{256, 0}, second.bytes()}}}};
  PixmanComposer composer;
  const Picture picture = or_throw(composer.compose({500, 500}, surfaces));
  EXPECT_EQ(pixel(picture, 9, 20), white);
  EXPECT_EQ(pixel(picture, 10, 20), red);  // its corner is scrolled out
  EXPECT_EQ(pixel(picture, 260, 20), red);
  EXPECT_EQ(pixel(picture, 261, 20), green);
  EXPECT_EQ(pixel(picture, 261, 268), green);
  EXPECT_EQ(pixel(picture, 261, 269), 0xff808080);  // below the tiles: 256 rows less 7
  EXPECT_EQ(pixel(picture, 409, 20), green);
  EXPECT_EQ(pixel(picture, 410, 20), white);
  EXPECT_EQ(pixel(picture, 409, 419), 0xff808080);
  EXPECT_EQ(pixel(picture, 409, 420), white);
}

TEST(pixman_composer, the_corner_of_a_tile_is_its_first_pixel) {
  const Painted tile(red, blue);
  const std::array surfaces{Surface{.place = {1, 1, 300, 300}, .tiles = {{{0, 0}, tile.bytes()}}}};
  PixmanComposer composer;
  const Picture picture = or_throw(composer.compose({300, 300}, surfaces));
  EXPECT_EQ(pixel(picture, 1, 1), blue);
  EXPECT_EQ(pixel(picture, 2, 1), red);
}

TEST(pixman_composer, later_layers_lie_above_and_alpha_lets_the_lower_ones_through) {
  const Painted below(red, red);
  const Painted above(0x80000080, 0);  // half blue; nothing at its corner
  const std::array surfaces{Surface{.place = {0, 0, 100, 100}, .tiles = {{{0, 0}, below.bytes()}}},
                            Surface{.place = {50, 0, 50, 100}, .tiles = {{{0, 0}, above.bytes()}}}};
  PixmanComposer composer;
  const Picture picture = or_throw(composer.compose({100, 100}, surfaces));
  EXPECT_EQ(pixel(picture, 49, 0), red);
  EXPECT_EQ(pixel(picture, 50, 0), red);
  EXPECT_EQ(pixel(picture, 51, 0), 0xff7f0080);
}

TEST(pixman_composer, the_same_surfaces_give_the_same_bytes) {
  const Painted tile(0x40102030, green);
  const std::array surfaces{
      Surface{.place = {-20, -30, 700, 600},
              .scroll = {3, 900},
              .background = 0x20101010,
              .tiles = {{{0, 768}, tile.bytes()}, {{256, 1024}, tile.bytes()}}}};
  PixmanComposer composer;
  const Picture first = or_throw(composer.compose({640, 480}, surfaces));
  const Picture second = or_throw(composer.compose({640, 480}, surfaces));
  EXPECT_TRUE(std::ranges::equal(first.pixels.bytes(), second.pixels.bytes()));
}

TEST(pixman_composer, the_largest_and_smallest_numbers_draw_nothing_and_harm_nothing) {
  const Painted tile(red, red);
  constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();
  constexpr std::int32_t least = std::numeric_limits<std::int32_t>::min();
  const std::array surfaces{
      Surface{.place = {0, 0, 10, 10},
              .scroll = {-max_page_side, max_page_side},
              .tiles = {{{max_page_side, 0}, tile.bytes()}, {{0, 0}, tile.bytes()}}},
      Surface{.place = {most, least, most, most}, .tiles = {{{0, 0}, tile.bytes()}}},
      Surface{.place = {0, 0, -5, least}, .tiles = {{{0, 0}, tile.bytes()}}}};
  PixmanComposer composer;
  const Picture picture = or_throw(composer.compose({10, 10}, surfaces));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(pixel(picture, i, i), white);
}

}  // namespace

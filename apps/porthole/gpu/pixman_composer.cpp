// SPDX-License-Identifier: Apache-2.0
#include "gpu/pixman_composer.hpp"

#include <cstdint>
#include <memory>
#include <pixman.h>
#include <utility>

#include <bulkhead/region.hpp>

#include "gpu/box.hpp"
#include "interfaces/layers.hpp"

namespace porthole {

using namespace bulkhead;

namespace {

struct Unref {
  void operator()(pixman_image_t* image) const { pixman_image_unref(image); }
};
using Image = std::unique_ptr<pixman_image_t, Unref>;

/// pixman asks for memory that it may write; it does not write to the source of a composition.
Image image_of(const std::byte* pixels, Size size) {
  auto* bits = reinterpret_cast<std::uint32_t*>(const_cast<std::byte*>(pixels));
  return Image{
      pixman_image_create_bits_no_clear(PIXMAN_a8r8g8b8, size.width, size.height, bits,
                                        static_cast<int>(size.width * sizeof(std::uint32_t)))};
}

Error no_memory() {
  return Error{ErrorKind::exhausted, {.operation = "compose", .cause = "no memory is left"}};
}

/// From 0xAARRGGBB, multiplied by alpha already.
pixman_color_t color_of(std::uint32_t argb) {
  const auto channel = [argb](unsigned shift) {
    return static_cast<std::uint16_t>(((argb >> shift) & 0xff) * 0x101);
  };
  return {.red = channel(16), .green = channel(8), .blue = channel(0), .alpha = channel(24)};
}

pixman_box32_t box32(const Box& box) {
  return {static_cast<std::int32_t>(box.left), static_cast<std::int32_t>(box.top),
          static_cast<std::int32_t>(box.right), static_cast<std::int32_t>(box.bottom)};
}

Result<void> fill(pixman_image_t* picture, const Box& box, std::uint32_t argb) {
  const pixman_color_t color = color_of(argb);
  const pixman_box32_t area = box32(box);
  if (!pixman_image_fill_boxes(PIXMAN_OP_OVER, picture, &color, 1, &area)) {
    return fail(no_memory());
  }
  return {};
}

Result<void> draw_tile(pixman_image_t* picture, const Box& seen, Point origin,
                       const Surface::Tile& tile) {
  const std::int64_t x = std::int64_t{origin.x} + tile.at.x;
  const std::int64_t y = std::int64_t{origin.y} + tile.at.y;
  const Box part = Box::of_tile(x, y).cut(seen);
  if (part.empty()) return {};
  const Image source = image_of(tile.pixels.data(), {tile_side, tile_side});
  if (!source) return fail(no_memory());
  const pixman_box32_t to = box32(part);
  pixman_image_composite32(
      PIXMAN_OP_OVER, source.get(), nullptr, picture, static_cast<std::int32_t>(part.left - x),
      static_cast<std::int32_t>(part.top - y), 0, 0, to.x1, to.y1, to.x2 - to.x1, to.y2 - to.y1);
  return {};
}

Result<void> draw(pixman_image_t* picture, const Box& window, const Surface& surface) {
  const Box seen = Box::of(surface.place).cut(window);
  if (seen.empty()) return {};
  if (surface.background >> 24 != 0) BULKHEAD_TRY(fill(picture, seen, surface.background));
  const Point origin{.x = surface.place.x - surface.scroll.x,
                     .y = surface.place.y - surface.scroll.y};
  for (const Surface::Tile& tile : surface.tiles) {
    BULKHEAD_TRY(draw_tile(picture, seen, origin, tile));
  }
  return {};
}

}  // namespace

Result<Picture> PixmanComposer::compose(Size size, std::span<const Surface> surfaces) {
  const auto pixels = static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height);
  Region region = BULKHEAD_TRY(Region::create(pixels * 4, {.name = "picture"}));
  const Image picture = image_of(region.bytes().data(), size);
  if (!picture) return fail(no_memory());
  const Box window = Box::of(size);
  BULKHEAD_TRY(fill(picture.get(), window, 0xffffffff));
  for (const Surface& surface : surfaces) BULKHEAD_TRY(draw(picture.get(), window, surface));
  BULKHEAD_TRY(region.freeze());
  return Picture{.size = size, .pixels = std::move(region)};
}

}  // namespace porthole

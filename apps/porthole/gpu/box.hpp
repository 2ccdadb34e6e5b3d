// SPDX-License-Identifier: Apache-2.0
//
// Box: a rectangle by its edges, for cutting what is seen. In 64 bits, as a place plus a page's
// length may leave 32.
#pragma once

#include <algorithm>
#include <cstdint>

#include "interfaces/layers.hpp"
#include "interfaces/types.hpp"

namespace porthole {

/// Empty when it has no width or height.
struct Box {
  std::int64_t left, top, right, bottom;

  static Box of(const Rect& rect) {
    return {rect.x, rect.y, std::int64_t{rect.x} + rect.width, std::int64_t{rect.y} + rect.height};
  }
  static Box of(Size size) { return {0, 0, size.width, size.height}; }
  /// A tile whose upper left corner is there.
  static Box of_tile(std::int64_t x, std::int64_t y) {
    return {x, y, x + tile_side, y + tile_side};
  }
  /// What both share.
  Box cut(const Box& by) const {
    return {std::max(left, by.left), std::max(top, by.top), std::min(right, by.right),
            std::min(bottom, by.bottom)};
  }
  bool empty() const { return right <= left || bottom <= top; }
};

}  // namespace porthole

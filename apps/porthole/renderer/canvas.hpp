// SPDX-License-Identifier: Apache-2.0
//
// Canvas: draws the parts that pages are made of into any number of targets at once. The engine
// walks its document once; each part goes to the tiles that it touches. Coordinates are the page's.
#pragma once

#include <array>
#include <cairo/cairo.h>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "renderer/fonts.hpp"
#include "renderer/page_engine.hpp"

namespace porthole {

/// 0xAARRGGBB, not multiplied.
using Colour = std::uint32_t;

struct Corner {
  int x = 0;
  int y = 0;
};

/// Upper left, upper right, lower right, lower left.
using Corners = std::array<Corner, 4>;

enum class Stroke : std::uint8_t {
  none,
  solid,
  dotted,
  dashed,
  twice,
  inset,
  outset,
  groove,
  ridge
};

struct Edge {
  int width = 0;
  Stroke stroke = Stroke::none;
  Colour colour = 0;
};

/// Top, right, bottom, left.
using Edges = std::array<Edge, 4>;

struct Tiling {
  bool across = false;
  bool down = false;
};

class Canvas {
 public:
  /// Everything is `background` then.
  Canvas(std::span<const PaintTarget> targets, Colour background);
  Canvas(const Canvas&) = delete;
  Canvas& operator=(const Canvas&) = delete;
  ~Canvas();

  /// The smallest rectangle around all targets.
  Rect bounds() const noexcept { return bounds_; }

  void push_clip(Rect box, const Corners& corners);
  void pop_clip();

  void fill(Rect box, const Corners& corners, Colour colour);
  void ellipse(Rect box, Colour colour, bool filled);
  void borders(Rect box, const Edges& edges, const Corners& corners);
  /// A picture scaled to `size`, its first copy at `at`, seen only within `box`.
  void picture(cairo_surface_t* picture, Size size, Point at, Tiling tiling, Rect box,
               const Corners& corners);
  void text(const Shaped& shaped, Point base, Rect around, Colour colour);

 private:
  struct Target {
    Rect area;
    Owned<cairo_surface_t, cairo_surface_destroy> surface;
    Owned<cairo_t, cairo_destroy> cairo;
  };
  template <class Draw> void each(Rect box, Draw draw);

  std::vector<Target> targets_;
  Rect bounds_{};
  std::vector<cairo_glyph_t> glyphs_;
};

/// What both have; nothing when they do not meet.
std::optional<Rect> intersection(const Rect& a, const Rect& b);

}  // namespace porthole

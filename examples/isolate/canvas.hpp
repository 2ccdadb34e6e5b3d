// SPDX-License-Identifier: Apache-2.0
//
// Canvas: an RGB picture in memory to draw on, and its way into a PNG file. Everything is cut at
// the edges; nothing here can be out of range.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include <bulkhead/result.hpp>

#include "decode.hpp"

namespace contact_sheet {

struct Rgb {
  std::uint8_t red, green, blue;
};

struct Rect {
  int x, y, width, height;
};

class Canvas {
 public:
  Canvas(int width, int height, Rgb background);

  int width() const { return width_; }
  int height() const { return height_; }

  void fill(Rect area, Rgb colour);
  /// With round corners, their edges smoothed.
  void fill_round(Rect area, int radius, Rgb colour);
  /// Rows of RGBA laid over what is there; `rgba` shorter than that is not drawn.
  void draw(int x, int y, Size size, std::span<const std::uint8_t> rgba);
  /// Glyphs at `scale` 1, 2 or 4, the larger ones with smoothed diagonals. `y` is their top.
  void text(int x, int y, std::string_view line, int scale, Rgb colour);
  /// The same, with strokes one pixel wider.
  void bold(int x, int y, std::string_view line, int scale, Rgb colour);

  /// Errors: the system's, with the path.
  bulkhead::Result<void> save_png(const std::filesystem::path& path) const;

 private:
  void blend(int x, int y, Rgb colour, unsigned alpha);

  int width_;
  int height_;
  std::vector<std::uint8_t> pixels_;
};

/// The width of a line drawn by `text`.
int text_width(std::string_view line, int scale);

}  // namespace contact_sheet

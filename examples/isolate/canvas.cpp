// SPDX-License-Identifier: Apache-2.0
#include "canvas.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <memory>
#include <png.h>

#include "font.hpp"

namespace contact_sheet {
namespace {

using Bitmap = std::vector<std::vector<bool>>;

Bitmap to_bitmap(const Glyph& glyph) {
  Bitmap bitmap(glyph_height, std::vector<bool>(glyph_width));
  for (int y = 0; y < glyph_height; ++y) {
    for (int x = 0; x < glyph_width; ++x) {
      bitmap[y][x] = glyph[static_cast<std::size_t>(y)] >> (glyph_width - 1 - x) & 1;
    }
  }
  return bitmap;
}

/// Twice as large, stairs made into slopes: the rule "EPX" (Eric Johnston, 1992).
Bitmap twice(const Bitmap& from) {
  const int height = static_cast<int>(from.size()), width = static_cast<int>(from[0].size());
  const auto at = [&](int y, int x) {
    return y >= 0 && y < height && x >= 0 && x < width && from[y][x];
  };
  Bitmap to(from.size() * 2, std::vector<bool>(from[0].size() * 2));
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const bool up = at(y - 1, x), down = at(y + 1, x), left = at(y, x - 1), right = at(y, x + 1);
      const auto corner = [&](bool a, bool b, bool c, bool d) {
        return a == b && a != c && b != d ? a : at(y, x);
      };
      to[2 * y][2 * x] = corner(left, up, down, right);
      to[2 * y][2 * x + 1] = corner(up, right, left, down);
      to[2 * y + 1][2 * x] = corner(down, left, right, up);
      to[2 * y + 1][2 * x + 1] = corner(right, down, up, left);
    }
  }
  return to;
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

bulkhead::Error cannot_write(const std::filesystem::path& path) {
  return bulkhead::Error::from_errno(errno, {.operation = "write", .object = path.string()});
}

}  // namespace

Canvas::Canvas(int width, int height, Rgb background)
    : width_(width),
      height_(height),
      pixels_(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3) {
  fill({0, 0, width, height}, background);
}

void Canvas::blend(int x, int y, Rgb colour, unsigned alpha) {
  if (x < 0 || y < 0 || x >= width_ || y >= height_) return;
  std::uint8_t* pixel = &pixels_[(static_cast<std::size_t>(y) * width_ + x) * 3];
  const auto over = [alpha](std::uint8_t below, std::uint8_t above) {
    return static_cast<std::uint8_t>((below * (255 - alpha) + above * alpha + 127) / 255);
  };
  pixel[0] = over(pixel[0], colour.red);
  pixel[1] = over(pixel[1], colour.green);
  pixel[2] = over(pixel[2], colour.blue);
}

void Canvas::fill(Rect area, Rgb colour) {
  for (int y = area.y; y < area.y + area.height; ++y) {
    for (int x = area.x; x < area.x + area.width; ++x) blend(x, y, colour, 255);
  }
}

void Canvas::fill_round(Rect area, int radius, Rgb colour) {
  for (int y = 0; y < area.height; ++y) {
    for (int x = 0; x < area.width; ++x) {
      // How far into a corner's square the pixel's centre lies, if it does.
      const double dx = radius - std::min(x, area.width - 1 - x) - 0.5;
      const double dy = radius - std::min(y, area.height - 1 - y) - 0.5;
      const double outside = dx > 0 && dy > 0 ? std::hypot(dx, dy) - radius + 0.5 : 0;
      const auto alpha = static_cast<unsigned>(255 * std::clamp(1 - outside, 0.0, 1.0));
      blend(area.x + x, area.y + y, colour, alpha);
    }
  }
}

void Canvas::draw(int x, int y, Size size, std::span<const std::uint8_t> rgba) {
  if (rgba.size() / 4 < std::uint64_t{size.width} * size.height) return;
  const std::uint8_t* from = rgba.data();
  for (int row = 0; row < static_cast<int>(size.height); ++row) {
    for (int column = 0; column < static_cast<int>(size.width); ++column, from += 4) {
      blend(x + column, y + row, {from[0], from[1], from[2]}, from[3]);
    }
  }
}

void Canvas::text(int x, int y, std::string_view line, int scale, Rgb colour) {
  for (const char c : line) {
    Bitmap bitmap = to_bitmap(glyph(c));
    for (int size = 1; size < scale; size *= 2) bitmap = twice(bitmap);
    for (std::size_t row = 0; row < bitmap.size(); ++row) {
      for (std::size_t column = 0; column < bitmap[row].size(); ++column) {
        if (!bitmap[row][column]) continue;
        blend(x + static_cast<int>(column), y + static_cast<int>(row), colour, 255);
      }
    }
    x += glyph_advance * scale;
  }
}

void Canvas::bold(int x, int y, std::string_view line, int scale, Rgb colour) {
  text(x, y, line, scale, colour);
  text(x + 1, y, line, scale, colour);
}

bulkhead::Result<void> Canvas::save_png(const std::filesystem::path& path) const {
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "wbe"));
  if (!file) return bulkhead::fail(cannot_write(path));
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width_);
  image.height = static_cast<png_uint_32>(height_);
  image.format = PNG_FORMAT_RGB;
  errno = 0;
  const bool written = png_image_write_to_stdio(&image, file.get(), 0, pixels_.data(), 0, nullptr);
  if (!written || std::fflush(file.get()) != 0) {
    if (errno == 0) errno = EIO;
    return bulkhead::fail(cannot_write(path));
  }
  return {};
}

int text_width(std::string_view line, int scale) {
  return (static_cast<int>(line.size()) * glyph_advance - 1) * scale;
}

}  // namespace contact_sheet

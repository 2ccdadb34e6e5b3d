// SPDX-License-Identifier: Apache-2.0
#include "orientation.hpp"

#include <algorithm>
#include <utility>

namespace contact_sheet {
namespace {

using namespace std::literals;

/// A view of numbers in either byte order; 0 beyond the end.
struct Numbers {
  std::string_view bytes;
  bool big_endian = false;

  std::uint32_t at(std::size_t offset, std::size_t size) const {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t from = offset + (big_endian ? i : size - 1 - i);
      value = value << 8 | (from < bytes.size() ? static_cast<unsigned char>(bytes[from]) : 0U);
    }
    return value;
  }
};

}  // namespace

int read_orientation(std::string_view segment) {
  constexpr std::string_view head = "Exif\0\0"sv;
  if (!segment.starts_with(head)) return 1;
  const std::string_view tiff = segment.substr(head.size());
  const Numbers numbers{tiff, tiff.starts_with("MM")};
  const std::size_t directory = numbers.at(4, 4);
  const std::uint32_t entries = numbers.at(directory, 2);
  for (std::size_t entry = 0; entry < entries; ++entry) {
    const std::size_t at = directory + 2 + entry * 12;
    if (at >= tiff.size()) return 1;
    if (numbers.at(at, 2) != 0x0112) continue;
    const std::uint32_t value = numbers.at(at + 8, 2);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

void turn_upright(Picture& picture, int orientation) {
  if (orientation <= 1) return;
  const Size from = picture.thumbnail;
  const bool on_its_side = lies_on_its_side(orientation);
  const Size to = on_its_side ? Size{from.height, from.width} : from;
  const bool mirror_x =
      orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool mirror_y =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  std::vector<std::uint8_t> turned;
  turned.reserve(picture.rgba.size());
  for (std::uint32_t y = 0; y < to.height; ++y) {
    for (std::uint32_t x = 0; x < to.width; ++x) {
      std::uint32_t column = on_its_side ? y : x, row = on_its_side ? x : y;
      if (mirror_x) column = from.width - 1 - column;
      if (mirror_y) row = from.height - 1 - row;
      const auto* pixel = &picture.rgba[(std::size_t{row} * from.width + column) * 4];
      turned.insert(turned.end(), pixel, pixel + 4);
    }
  }
  picture.rgba = std::move(turned);
  picture.thumbnail = to;
  if (on_its_side) std::swap(picture.size.width, picture.size.height);
}

}  // namespace contact_sheet

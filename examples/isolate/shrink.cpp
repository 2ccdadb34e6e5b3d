// SPDX-License-Identifier: Apache-2.0
#include "shrink.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace contact_sheet {
namespace {

/// How source pixel (or row) `index` of `from` falls on `to` of the thumbnail, to <= from: with
/// weight `first` on `part` and `second` on the next. In whole numbers, so that no rounding can
/// begin or end a line twice.
struct Split {
  std::uint32_t part;
  float first;
  float second;
  bool ends_part;
};

Split split(std::uint32_t index, std::uint32_t from, std::uint32_t to) noexcept {
  const std::uint64_t begin = std::uint64_t{index} * to;
  const std::uint64_t end = begin + to;
  const std::uint64_t part = begin / from;
  const std::uint64_t border = (part + 1) * from;
  const auto weight = [from](std::uint64_t length) {
    return static_cast<float>(length) / static_cast<float>(from);
  };
  return {.part = static_cast<std::uint32_t>(part),
          .first = weight(std::min(end, border) - begin),
          .second = end > border ? weight(end - border) : 0.0F,
          .ends_part = end >= border};
}

std::uint8_t to_byte(float value) noexcept {
  return static_cast<std::uint8_t>(std::clamp(value + 0.5F, 0.0F, 255.0F));
}

}  // namespace

Size fit(Size image, Size box) {
  const double scale = std::min({1.0, static_cast<double>(box.width) / image.width,
                                 static_cast<double>(box.height) / image.height});
  const auto scaled = [scale](std::uint32_t length) {
    return std::max<std::uint32_t>(1, static_cast<std::uint32_t>(std::lround(length * scale)));
  };
  return {scaled(image.width), scaled(image.height)};
}

Shrinker::Shrinker(Size rows, Size box)
    : from_(rows),
      to_(fit(rows, box)),
      squeezed_(std::size_t{to_.width} * 4),
      line_(std::size_t{to_.width} * 4),
      rgba_(std::size_t{to_.width} * to_.height * 4) {}

void Shrinker::squeeze(const std::uint8_t* rgba) noexcept {
  std::ranges::fill(squeezed_, 0.0F);
  const auto add_pixel = [&](std::uint32_t to, float weight) {
    const float opacity = weight * rgba[3];
    float* sum = &squeezed_[std::size_t{to} * 4];
    for (int channel = 0; channel < 3; ++channel) sum[channel] += opacity * rgba[channel];
    sum[3] += opacity;
  };
  for (std::uint32_t x = 0; x < from_.width; ++x, rgba += 4) {
    const Split at = split(x, from_.width, to_.width);
    add_pixel(at.part, at.first);
    if (at.second > 0) add_pixel(at.part + 1, at.second);
  }
}

void Shrinker::add_to_line(float weight) noexcept {
  for (std::size_t i = 0; i < line_.size(); ++i) line_[i] += weight * squeezed_[i];
}

void Shrinker::emit_line(std::uint32_t y) noexcept {
  std::uint8_t* to = &rgba_[std::size_t{y} * to_.width * 4];
  for (std::size_t i = 0; i < line_.size(); i += 4) {
    const float alpha = line_[i + 3];
    for (std::size_t channel = 0; channel < 3; ++channel) {
      to[i + channel] = alpha > 0 ? to_byte(line_[i + channel] / alpha) : std::uint8_t{0};
    }
    to[i + 3] = to_byte(alpha);
  }
  std::ranges::fill(line_, 0.0F);
}

void Shrinker::add(const std::uint8_t* rgba) noexcept {
  if (row_ >= from_.height) return;
  squeeze(rgba);
  const Split at = split(row_++, from_.height, to_.height);
  add_to_line(at.first);
  if (at.ends_part) emit_line(at.part);
  if (at.second > 0) add_to_line(at.second);
}

void Shrinker::finish(Picture& picture) && {
  picture.thumbnail = to_;
  picture.rgba = std::move(rgba_);
}

}  // namespace contact_sheet

// SPDX-License-Identifier: Apache-2.0
//
// Shrinker: makes a thumbnail out of rows of RGBA as a decoder delivers them, so that a large
// image never needs to be in memory whole. Every pixel of the thumbnail is the mean of the area
// that it covers, with alpha taken into account.
#pragma once

#include <cstdint>
#include <vector>

#include "decode.hpp"

namespace contact_sheet {

/// The largest size of the same shape that fits in `box`; never larger than `image`.
Size fit(Size image, Size box);

class Shrinker {
 public:
  /// `rows` will have this size; the thumbnail gets `fit(rows, box)`.
  Shrinker(Size rows, Size box);

  /// The next row, from the top. Allocates nothing and cannot fail: it may be called where a
  /// longjmp could pass. Rows beyond the height are ignored.
  void add(const std::uint8_t* rgba) noexcept;

  /// Moves size and pixels of the thumbnail into `picture`.
  void finish(Picture& picture) &&;

 private:
  void squeeze(const std::uint8_t* rgba) noexcept;
  void add_to_line(float weight) noexcept;
  void emit_line(std::uint32_t y) noexcept;

  Size from_;
  Size to_;
  std::uint32_t row_ = 0;
  std::vector<float> squeezed_;  // one source row, squeezed to the thumbnail's width
  std::vector<float> line_;  // the thumbnail's line under way: sums of colour times alpha, alpha
  std::vector<std::uint8_t> rgba_;
};

}  // namespace contact_sheet

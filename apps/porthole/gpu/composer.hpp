// SPDX-License-Identifier: Apache-2.0
//
// Composer: draws layers over each other into one picture. The seam between what is shown, which
// the service keeps, and how it is drawn: by the CPU (pixman_composer.hpp) or a GPU
// (egl_composer.hpp).
//
// The surfaces' pixels belong to other processes, which may change them meanwhile: only what is
// seen can suffer from that.
#pragma once

#include <span>
#include <vector>

#include <bulkhead/bytes.hpp>
#include <bulkhead/result.hpp>

#include "interfaces/compositor.hpp"
#include "interfaces/types.hpp"

namespace porthole {

/// One layer, as it is to be drawn. All numbers have been checked.
struct Surface {
  struct Tile {
    /// Its upper left corner, in the page.
    Point at{};
    /// tile_bytes of them.
    bulkhead::Bytes pixels;
    /// The same for the same pixels of one producer, as long as it is honest; 0: not known.
    std::uint64_t version = 0;
  };

  /// In the picture; what the tiles have beyond it is not seen.
  Rect place{};
  /// The point of the page at the upper left corner of the place.
  Point scroll{};
  /// Under the tiles.
  std::uint32_t background = 0;
  std::vector<Tile> tiles;
  /// Who painted them: a number that nobody else ever has.
  std::uint64_t producer = 0;
};

class Composer {
 public:
  virtual ~Composer() = default;

  /// The surfaces over white, the last one on top. The same for the same pixels, always.
  virtual bulkhead::Result<Picture> compose(Size size, std::span<const Surface> surfaces) = 0;
};

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
//
// LayerSink and LayerClient: pixels from who paints them (renderers, the browser's own bars) to the
// gpu process, without a copy. The gpu process serves LayerSink, the producer LayerClient.
//
// LAYOUT. A page is cut into tiles of 256 x 256 pixels. The producer has one published segment that
// is an array of slots, each one tile, row after row, 256 KiB. It paints a tile into a slot that is
// free and submits which slot shows which tile; the gpu process only reads.
// STATE of a slot: free -> painted (producer) -> shown (submit names it) -> free (released). A slot
// is released when a later submission no longer names it; until then the producer keeps off it.
// TRUST: the gpu process checks every number against the segment's size; the pixels themselves
// may change under it, which harms only what they show.
#pragma once

#include <cstdint>
#include <vector>

#include <bulkhead/interface.hpp>
#include <bulkhead/region.hpp>

#include "interfaces/types.hpp"

namespace porthole {

inline constexpr std::int32_t tile_side = 256;
inline constexpr std::size_t tile_bytes = std::size_t{4} * tile_side * tile_side;
inline constexpr std::uint32_t max_slots = 4096;

struct Tile {
  std::int32_t column = 0;
  std::int32_t row = 0;
  std::uint32_t slot = 0;
  friend bool operator==(const Tile&, const Tile&) = default;
};

/// The whole of what the layer shows from now on.
struct Submission {
  /// Counts up from 1 in each producer.
  std::uint64_t frame = 0;
  /// Of the page.
  Size content{};
  /// The point of the page at the layer's upper left corner.
  Point scroll{};
  /// What is shown where no tile is, 0xAARRGGBB.
  std::uint32_t background = 0xffffffff;
  std::vector<Tile> tiles;
};

struct LayerSink {
  /// The published segment; `slots` tiles. Replaces an earlier one, and all that was submitted.
  void segment(bulkhead::Region pixels, std::uint32_t slots);
  void submit(Submission submission);
};
BULKHEAD_INTERFACE(LayerSink, segment, submit)

struct LayerClient {
  /// These slots are free again.
  void released(std::vector<std::uint32_t> slots);
};
BULKHEAD_INTERFACE(LayerClient, released)

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
//
// TileSlots: a producer's published segment of tiles and which of its slots are free. The states of
// a slot are in interfaces/layers.hpp.
//
// Threads: the producer's event loop. Blocking: never. Peer death: rebase() when another gpu process
// takes over. Trust: what a gpu process says of slots is checked; at worst it gets a tile that is
// being painted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <bulkhead/bytes.hpp>
#include <bulkhead/region.hpp>
#include <bulkhead/result.hpp>

#include "interfaces/layers.hpp"

namespace porthole {

class TileSlots {
 public:
  /// `count` free slots, at least 1 and at most max_slots. Memory for all of them is reserved.
  static bulkhead::Result<TileSlots> create(std::uint32_t count) {
    if (count == 0 || count > max_slots) {
      return bulkhead::fail(bulkhead::ErrorKind::too_large,
                            {.operation = "make tiles",
                             .cause = std::to_string(count) + " tiles are more than a layer has"});
    }
    auto region = bulkhead::Region::create(count * tile_bytes, {.name = "tiles"});
    if (!region) return bulkhead::fail(std::move(region).error());
    if (auto done = region->publish(); !done) return bulkhead::fail(std::move(done).error());
    return TileSlots{std::move(*region), count};
  }

  std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(taken_.size()); }
  std::uint32_t free() const noexcept { return static_cast<std::uint32_t>(free_.size()); }

  /// A slot to paint into; nothing when all are taken.
  std::optional<std::uint32_t> take() {
    if (free_.empty()) return std::nullopt;
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    taken_[slot] = true;
    return slot;
  }

  /// Its pixels, tile_bytes of them, row after row. They keep what was painted before.
  bulkhead::MutableBytes pixels(std::uint32_t slot) noexcept {
    return region_.mutable_bytes().subspan(slot * tile_bytes, tile_bytes);
  }

  /// A taken slot is free again: as LayerClient::released says, or one that was never submitted.
  void release(std::uint32_t slot) {
    if (slot >= taken_.size() || !taken_[slot]) return;
    taken_[slot] = false;
    free_.push_back(slot);
  }

  /// For another gpu process: all but what `shown` names is free, as it will be told of that alone.
  void rebase(std::span<const Tile> shown) {
    std::vector<bool> named(taken_.size(), false);
    for (const Tile& tile : shown) named.at(tile.slot) = true;
    for (std::uint32_t slot = 0; slot < count(); ++slot) {
      if (!named[slot]) release(slot);
    }
  }

  /// For LayerSink::segment.
  bulkhead::Result<bulkhead::Region> share() const { return region_.duplicate(); }

 private:
  TileSlots(bulkhead::Region region, std::uint32_t count)
      : region_(std::move(region)), taken_(count, false) {
    for (std::uint32_t slot = count; slot > 0; --slot) free_.push_back(slot - 1);
  }

  bulkhead::Region region_;
  std::vector<bool> taken_;
  std::vector<std::uint32_t> free_;  // the one that was freed last is warm
};

}  // namespace porthole

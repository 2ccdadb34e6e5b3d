// SPDX-License-Identifier: Apache-2.0
//
// TileSlots: a producer's published segment of tiles, and what each of its slots is used for.
//
// STATE of a slot:
//   free -> painted      take()
//   painted -> shown     submitted() names it
//   painted -> free      submitted() does not name it
//   shown -> leaving     submitted() does not name it any more
//   leaving -> free      released(); restart(), as whoever had it is gone
// Threads: the producer's event loop. Blocking: never. Peer death: restart() when another gpu
// process takes over. TRUST: a release of a slot in any other state is a lie or late, and changes
// nothing.
#pragma once

#include <algorithm>
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

  std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(states_.size()); }
  std::size_t free() const noexcept {
    return static_cast<std::size_t>(std::ranges::count(states_, State::free));
  }

  /// A slot to paint into; nothing when none is free.
  std::optional<std::uint32_t> take() {
    const auto found = std::ranges::find(states_, State::free);
    if (found == states_.end()) return std::nullopt;
    *found = State::painted;
    return static_cast<std::uint32_t>(found - states_.begin());
  }

  /// Its pixels, tile_bytes of them, row after row. They keep what was painted before.
  bulkhead::MutableBytes pixels(std::uint32_t slot) noexcept {
    return region_.mutable_bytes().subspan(slot * tile_bytes, tile_bytes);
  }

  /// These are shown from now on, and no others.
  void submitted(std::span<const Tile> tiles) {
    std::vector<bool> named(states_.size(), false);
    for (const Tile& tile : tiles) named.at(tile.slot) = true;
    for (std::size_t slot = 0; slot < states_.size(); ++slot) {
      if (named[slot]) {
        states_[slot] = State::shown;
      } else if (states_[slot] == State::shown) {
        states_[slot] = State::leaving;
      } else if (states_[slot] == State::painted) {
        states_[slot] = State::free;
      }
    }
  }

  /// LayerClient::released.
  void released(std::span<const std::uint32_t> slots) {
    for (const std::uint32_t slot : slots) {
      if (slot < states_.size() && states_[slot] == State::leaving) states_[slot] = State::free;
    }
  }

  /// For another gpu process, which is told only of what is shown.
  void restart() { std::ranges::replace(states_, State::leaving, State::free); }

  /// For LayerSink::segment.
  bulkhead::Result<bulkhead::Region> share() const { return region_.duplicate(); }

 private:
  enum class State : std::uint8_t { free, painted, shown, leaving };

  TileSlots(bulkhead::Region region, std::uint32_t count)
      : region_(std::move(region)), states_(count, State::free) {}

  bulkhead::Region region_;
  std::vector<State> states_;
};

}  // namespace porthole

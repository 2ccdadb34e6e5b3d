// SPDX-License-Identifier: Apache-2.0
//
// Tiles: what is painted of a page, in slots of one published Region that the gpu process reads.
//
// One round: prepare() says which tiles have to be painted and where, the caller paints them, and
// submission() tells all that is to be shown. Tiles that are shown are never painted over: a new
// version goes to a free slot, and the old one is free when the gpu process has let go of it.
// STATE of a slot:
//   free -> painted       prepare()
//   painted -> shown      submission() names it
//   painted -> free       invalidate() or prepare() drops it before it was submitted
//   shown -> leaving      submission() does not name it any more
//   leaving -> free       released(); restart(), as whoever had it is gone
// TRUST: a release of a slot in any other state is a lie or late, and changes nothing.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <bulkhead/region.hpp>

#include "interfaces/layers.hpp"
#include "renderer/page_engine.hpp"

namespace porthole {

class Tiles {
 public:
  /// Slots for twice what a viewport can show: while all of it is painted anew, the old is shown.
  static bulkhead::Result<Tiles> create(Size viewport);

  std::uint32_t slots() const noexcept { return static_cast<std::uint32_t>(states_.size()); }
  std::size_t free_slots() const noexcept;
  /// For LayerSink::segment.
  bulkhead::Result<bulkhead::Region> share() const { return region_.duplicate(); }

  /// The page looks different: no tile is up to date.
  void invalidate();

  /// What is missing to show `area` (of the page), each with its memory. REQUIRES: the caller
  /// paints them before the next call. False in `enough` when there were too few free slots,
  /// leaving `reserve` of them: again after released().
  struct Work {
    std::vector<PaintTarget> targets;
    bool enough = true;
  };
  Work prepare(const Rect& area, Size content, std::size_t reserve = 0);
  /// How many tiles an area is made of.
  static std::size_t count(const Rect& area, Size content);

  /// All tiles within `area` that are up to date; others are given up.
  Submission submission(const Rect& area);
  void released(std::span<const std::uint32_t> slots);
  /// A new gpu process: nobody holds what is not shown.
  void restart();

 private:
  enum class State : std::uint8_t { free, painted, shown, leaving };
  struct Painted {
    Tile tile{};
    bool current = true;
  };

  explicit Tiles(bulkhead::Region region, std::uint32_t slots);
  void give_up(std::uint32_t slot);

  bulkhead::Region region_;
  std::vector<State> states_;
  std::vector<Painted> painted_;
};

/// The rectangle made larger, to whole tiles.
Rect whole_tiles(const Rect& area);

}  // namespace porthole

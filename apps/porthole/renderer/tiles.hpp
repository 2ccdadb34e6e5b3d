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
//   painted -> free       invalidate() or submission() drops it before it was shown
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

  enum class Use : std::uint8_t {
    needed,
    /// For later: stops where the slots of one viewport are in use, so that the other half is there
    /// when all of it has to be painted anew.
    in_advance,
  };

  /// What is missing to show `area` (of the page), each with its memory. REQUIRES: the caller
  /// paints them before the next call. False in `enough` when there were too few free slots: again
  /// after released(), which will come.
  struct Work {
    std::vector<PaintTarget> targets;
    bool enough = true;
  };
  Work prepare(const Rect& area, Size content, Use use = Use::needed);

  /// All tiles that are up to date within `around`, or within `visible` where those would be more
  /// than half of the slots; others are given up.
  Submission submission(const Rect& visible, const Rect& around);
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
  std::size_t current_within(const Rect& area) const;

  bulkhead::Region region_;
  std::vector<State> states_;
  std::vector<Painted> painted_;
};

/// The rectangle made larger, to whole tiles.
Rect whole_tiles(const Rect& area);

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
#include "renderer/tiles.hpp"

#include <algorithm>

namespace porthole {
namespace {

std::int32_t tiles_in(std::int32_t length) { return (length + tile_side - 1) / tile_side; }

/// A viewport lies across one tile more than it is large, in both directions.
std::uint32_t slots_for(Size viewport) {
  const std::int64_t columns = tiles_in(viewport.width) + 1;
  const std::int64_t rows = tiles_in(viewport.height) + 1;
  return static_cast<std::uint32_t>(std::min<std::int64_t>(2 * columns * rows, max_slots));
}

Rect place(const Tile& tile) {
  return {.x = tile.column * tile_side,
          .y = tile.row * tile_side,
          .width = tile_side,
          .height = tile_side};
}

bool meets(const Rect& a, const Rect& b) {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

}  // namespace

Rect whole_tiles(const Rect& area) {
  const std::int32_t x = area.x / tile_side * tile_side;
  const std::int32_t y = area.y / tile_side * tile_side;
  return {.x = x,
          .y = y,
          .width = tiles_in(area.x + area.width) * tile_side - x,
          .height = tiles_in(area.y + area.height) * tile_side - y};
}

bulkhead::Result<Tiles> Tiles::create(Size viewport) {
  const std::uint32_t slots = slots_for(viewport);
  auto region = BULKHEAD_TRY(bulkhead::Region::create(slots * tile_bytes, {.name = "tiles"}));
  BULKHEAD_TRY(region.publish());
  return Tiles{std::move(region), slots};
}

Tiles::Tiles(bulkhead::Region region, std::uint32_t slots)
    : region_(std::move(region)), states_(slots, State::free) {}

std::size_t Tiles::free_slots() const noexcept {
  return static_cast<std::size_t>(std::ranges::count(states_, State::free));
}

void Tiles::give_up(std::uint32_t slot) {
  State& state = states_[slot];
  state = state == State::painted ? State::free : State::leaving;
}

void Tiles::invalidate() {
  std::erase_if(painted_, [&](const Painted& painted) {
    // What is shown stays so until there is something to show instead.
    if (states_[painted.tile.slot] == State::shown) return false;
    give_up(painted.tile.slot);
    return true;
  });
  for (Painted& painted : painted_) painted.current = false;
}

std::size_t Tiles::current_within(const Rect& area) const {
  return static_cast<std::size_t>(std::ranges::count_if(painted_, [&](const Painted& painted) {
    return painted.current && meets(place(painted.tile), area);
  }));
}

Tiles::Work Tiles::prepare(const Rect& area, Size content, Use use) {
  Work work;
  const std::int32_t end_row = std::min(tiles_in(area.y + area.height), tiles_in(content.height));
  const std::int32_t end_column = std::min(tiles_in(area.x + area.width), tiles_in(content.width));
  for (std::int32_t row = area.y / tile_side; row < end_row; ++row) {
    for (std::int32_t column = area.x / tile_side; column < end_column; ++column) {
      const bool is_there = std::ranges::any_of(painted_, [&](const Painted& painted) {
        return painted.current && painted.tile.row == row && painted.tile.column == column;
      });
      if (is_there) continue;
      const auto free = std::ranges::find(states_, State::free);
      const bool is_full = use == Use::in_advance && painted_.size() >= slots() / 2;
      if (free == states_.end() || is_full) {
        work.enough = false;
        return work;
      }
      *free = State::painted;
      const Tile tile{
          .column = column, .row = row, .slot = static_cast<std::uint32_t>(free - states_.begin())};
      painted_.push_back({.tile = tile, .current = true});
      work.targets.push_back({.area = place(tile),
                              .pixels = region_.mutable_bytes().data() + tile.slot * tile_bytes,
                              .stride_bytes = 4 * tile_side});
    }
  }
  return work;
}

Submission Tiles::submission(const Rect& visible, const Rect& around) {
  const Rect& area = current_within(around) <= slots() / 2 ? around : visible;
  Submission all;
  std::erase_if(painted_, [&](const Painted& painted) {
    if (painted.current && meets(place(painted.tile), area)) return false;
    give_up(painted.tile.slot);
    return true;
  });
  for (const Painted& painted : painted_) {
    states_[painted.tile.slot] = State::shown;
    all.tiles.push_back(painted.tile);
  }
  return all;
}

void Tiles::released(std::span<const std::uint32_t> slots) {
  for (const std::uint32_t slot : slots) {
    if (slot < states_.size() && states_[slot] == State::leaving) states_[slot] = State::free;
  }
}

void Tiles::restart() { std::ranges::replace(states_, State::leaving, State::free); }

}  // namespace porthole

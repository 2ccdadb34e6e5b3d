// SPDX-License-Identifier: Apache-2.0
#include "gpu/shown_layer.hpp"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

namespace porthole {

using namespace bulkhead;

namespace {

Error lie(const char* operation, std::string cause) {
  return Error{ErrorKind::corrupt, {.operation = operation, .cause = std::move(cause)}};
}

std::string text(Size size) {
  return std::to_string(size.width) + " x " + std::to_string(size.height);
}

std::string text(const Tile& tile) {
  return "the tile in column " + std::to_string(tile.column) + ", row " + std::to_string(tile.row);
}

bool within(std::int32_t value, std::int32_t least, std::int32_t most) {
  return value >= least && value <= most;
}

Result<void> check_page(const Submission& submission) {
  const Size page = submission.content;
  if (!within(page.width, 0, max_page_side) || !within(page.height, 0, max_page_side)) {
    return fail(lie("submit", "no page is " + text(page) + " pixels large"));
  }
  const Point at = submission.scroll;
  if (!within(at.x, -max_page_side, max_page_side) ||
      !within(at.y, -max_page_side, max_page_side)) {
    return fail(lie("submit", "no page is scrolled to " + text(Size{at.x, at.y})));
  }
  return {};
}

Result<void> check_tile(const Tile& tile, Size page, std::uint32_t slots) {
  const auto starts_inside = [](std::int32_t index, std::int32_t length) {
    return index >= 0 && std::int64_t{index} * tile_side < length;
  };
  if (!starts_inside(tile.column, page.width) || !starts_inside(tile.row, page.height)) {
    return fail(lie("submit", text(tile) + " is outside of the page of " + text(page)));
  }
  if (tile.slot >= slots) {
    return fail(lie("submit", text(tile) + " is in slot " + std::to_string(tile.slot) + " of " +
                                  std::to_string(slots)));
  }
  return {};
}

/// In the order in which they are drawn, so that equal submissions are drawn equally.
Result<void> sort_tiles(std::vector<Tile>& tiles) {
  const auto place = [](const Tile& tile) { return std::tie(tile.row, tile.column); };
  std::ranges::sort(tiles, {}, place);
  const auto twice = std::ranges::adjacent_find(tiles, {}, place);
  if (twice != tiles.end()) return fail(lie("submit", text(*twice) + " is there twice"));
  return {};
}

}  // namespace

Result<void> ShownLayer::replace_segment(Region pixels, std::uint32_t slots) {
  if (slots == 0 || slots > max_slots) {
    return fail(lie("segment", "it has " + std::to_string(slots) + " slots; 1 to " +
                                   std::to_string(max_slots) + " are allowed"));
  }
  if (pixels.size() != slots * tile_bytes) {
    return fail(lie("segment", "it has " + std::to_string(pixels.size()) + " bytes, which is not " +
                                   std::to_string(slots) + " tiles"));
  }
  if (pixels.state() == Region::State::shared) {
    return fail(lie("segment", "it is not sealed and could shrink"));
  }
  waiting_ = Segment{.pixels = std::move(pixels),
                     .slots = slots,
                     .versions = std::vector<std::uint64_t>(slots, 0)};
  return {};
}

std::uint32_t ShownLayer::slots() const noexcept {
  if (waiting_) return waiting_->slots;
  return segment_ ? segment_->slots : 0;
}

Result<std::vector<std::uint32_t>> ShownLayer::submit(Submission submission) {
  if (submission.frame <= shown_.frame) {
    return fail(lie("submit", "frame " + std::to_string(submission.frame) + " comes after frame " +
                                  std::to_string(shown_.frame)));
  }
  if (submission.tiles.size() > max_slots) {
    return fail(lie("submit", std::to_string(submission.tiles.size()) + " tiles are too many"));
  }
  BULKHEAD_TRY(check_page(submission));
  for (const Tile& tile : submission.tiles) {
    BULKHEAD_TRY(check_tile(tile, submission.content, slots()));
  }
  BULKHEAD_TRY(sort_tiles(submission.tiles));

  std::vector<std::uint32_t> released;
  if (waiting_) {
    segment_ = std::exchange(waiting_, std::nullopt);  // nobody paints into the old one any more
  } else if (segment_) {
    released = leave(submission.tiles);
  }
  number(submission.tiles);
  shown_ = std::move(submission);
  return released;
}

/// What is shown and not among the next ones.
std::vector<std::uint32_t> ShownLayer::leave(const std::vector<Tile>& next) {
  std::vector<std::uint32_t> released;
  std::vector<bool> used(segment_->slots, false);
  for (const Tile& tile : next) used[tile.slot] = true;
  for (const Tile& tile : shown_.tiles) {
    if (used[tile.slot]) continue;
    released.push_back(tile.slot);
    segment_->versions[tile.slot] = 0;  // it is painted over from now on
    used[tile.slot] = true;             // once, when several tiles showed it
  }
  return released;
}

void ShownLayer::number(const std::vector<Tile>& next) {
  for (const Tile& tile : next) {
    std::uint64_t& version = segment_->versions[tile.slot];
    if (version == 0) version = ++last_version_;
  }
}

std::optional<Surface> ShownLayer::surface(const Rect& place) const {
  if (shown_.frame == 0) return std::nullopt;
  Surface surface{
      .place = place, .scroll = shown_.scroll, .background = shown_.background, .tiles = {}};
  surface.tiles.reserve(shown_.tiles.size());
  for (const Tile& tile : shown_.tiles) {
    surface.tiles.push_back(
        {.at = {.x = tile.column * tile_side, .y = tile.row * tile_side},
         .pixels = segment_->pixels.bytes().subspan(tile.slot * tile_bytes, tile_bytes),
         .version = segment_->versions[tile.slot]});
  }
  return surface;
}

}  // namespace porthole

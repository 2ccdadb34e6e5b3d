// SPDX-License-Identifier: Apache-2.0
//
// ShownLayer: what one producer shows: its segment and its last submission. It knows nothing of channels
// and scenes.
//
// TRUST: nothing of a producer is believed. A submission is checked as a whole before any of it is
// taken; the segment is sealed, so that it cannot shrink under us. Every error is one sentence for
// CompositorHost::producer_failed, and what was shown before stays as it was.
// STATE of the segment: none -> waiting (segment) -> shown (submit). The one that is shown stays
// until a submission shows the next, so that a producer which makes room never shows an empty page.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <bulkhead/region.hpp>
#include <bulkhead/result.hpp>

#include "gpu/composer.hpp"
#include "interfaces/layers.hpp"

namespace porthole {

class ShownLayer {
 public:
  /// LayerSink::segment.
  bulkhead::Result<void> replace_segment(bulkhead::Region pixels, std::uint32_t slots);

  /// LayerSink::submit. The slots that are not shown any more.
  bulkhead::Result<std::vector<std::uint32_t>> submit(Submission submission);

  /// The last one; 0 before that.
  std::uint64_t frame() const noexcept { return shown_.frame; }

  /// How it is drawn at `place`; nothing before the first submission. Points into the segment.
  std::optional<Surface> surface(const Rect& place) const;

 private:
  struct Segment {
    bulkhead::Region pixels;
    std::uint32_t slots = 0;
    /// Of what is in each slot; 0 where nothing was shown.
    std::vector<std::uint64_t> versions{};
  };

  std::uint32_t slots() const noexcept;
  std::vector<std::uint32_t> leave(const std::vector<Tile>& next);
  void number(const std::vector<Tile>& next);

  std::optional<Segment> waiting_;
  std::optional<Segment> segment_;
  Submission shown_;
  std::uint64_t last_version_ = 0;
};

}  // namespace porthole

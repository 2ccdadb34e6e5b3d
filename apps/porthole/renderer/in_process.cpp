// SPDX-License-Identifier: Apache-2.0
#include "renderer/in_process.hpp"

#include <cstddef>
#include <vector>

#include "interfaces/layers.hpp"
#include "renderer/page_engine.hpp"

namespace porthole {
namespace {

class Nothing final : public Resources {
 public:
  void want_style_sheet(const std::string&) override {}
  void want_picture(const std::string&) override {}
};

using Clock = std::chrono::steady_clock;

/// The time that `work` takes.
template <class Work> std::chrono::nanoseconds timed(Work work) {
  const auto begin = Clock::now();
  work();
  return Clock::now() - begin;
}

}  // namespace

Timing draw_in_this_process(const std::string& html, Size viewport) {
  Timing timing;
  Nothing nothing;
  std::unique_ptr<PageEngine> engine;
  timing.warm_up = timed([&] {
    engine = make_page_engine();
    engine->warm_up();
  });
  // Memory as tiles have it, there before the page is.
  const auto tiles = [](std::int32_t length) { return (length + tile_side - 1) / tile_side; };
  const std::int32_t columns = tiles(viewport.width);
  const std::int32_t rows = tiles(viewport.height);
  std::vector<std::byte> pixels(static_cast<std::size_t>(columns * rows) * tile_bytes);
  std::vector<PaintTarget> targets;
  for (std::int32_t row = 0; row < rows; ++row) {
    for (std::int32_t column = 0; column < columns; ++column) {
      const auto slot = static_cast<std::size_t>(row * columns + column);
      targets.push_back({.area = {.x = column * tile_side,
                                  .y = row * tile_side,
                                  .width = tile_side,
                                  .height = tile_side},
                         .pixels = pixels.data() + slot * tile_bytes,
                         .stride_bytes = 4 * tile_side});
    }
  }
  timing.parse = timed([&] {
    engine->open(html, "about:manual", nothing);
    engine->parse(viewport);
  });
  timing.layout = timed([&] { engine->layout(viewport); });
  timing.paint = timed([&] { engine->paint(targets); });
  return timing;
}

}  // namespace porthole

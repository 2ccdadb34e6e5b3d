// SPDX-License-Identifier: Apache-2.0
//
// The browser's own layer at a gpu process that the test plays, and what is drawn on it.
#include "browser/chrome_layer.hpp"

#include <algorithm>
#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <bulkhead/asio.hpp>
#include <bulkhead/region.hpp>
#include <bulkhead/service.hpp>

#include "browser/chrome_paint.hpp"
#include "interfaces/layers.hpp"

namespace {

using namespace bulkhead;
using namespace porthole;

constexpr Size window{.width = 700, .height = 500};

ChromeState two_tabs() {
  return {.tabs = {{.title = "First"}, {.title = "Second"}},
          .active = 0,
          .url = "https://example.org/page",
          .bookmarks = {"Handbook"}};
}

/// The gpu process's side: keeps what it is shown, and releases slots when the test says so.
class Screen {
 public:
  explicit Screen(asio::io_context& loop) : loop_(loop) {}

  /// The producer's end of a new channel.
  Channel connect() {
    auto ends = or_throw(pair(Mechanism::shm));
    channel_.emplace(std::move(ends.first));
    client_.emplace(*channel_);
    async_serve<LayerSink>(*channel_, *this,
                           asio::bind_executor(loop_, [](const Result<void>&) {}));
    return std::move(ends.second);
  }
  void die() {
    client_.reset();
    channel_.reset();
  }

  void segment(Region pixels, std::uint32_t count) {
    region.emplace(std::move(pixels));
    slots = count;
    ++segments;
  }
  void submit(Submission submission) { submissions.push_back(std::move(submission)); }

  const Submission& wait_for(std::uint64_t frame) {
    loop_.restart();
    while (submissions.empty() || submissions.back().frame < frame) loop_.run_one();
    return submissions.back();
  }
  /// All that is under way has arrived, as far as this thread can bring it about.
  void settle() {
    loop_.restart();
    while (loop_.poll() > 0) {
    }
  }
  void release(std::vector<std::uint32_t> which) {
    client_->async_released(std::move(which),
                            asio::bind_executor(loop_, [](const Result<void>&) {}));
  }
  std::uint32_t pixel(int x, int y) const {
    for (const Tile& tile : submissions.back().tiles) {
      if (tile.column != x / tile_side || tile.row != y / tile_side) continue;
      std::uint32_t value = 0;
      const auto at = static_cast<std::size_t>(y % tile_side * tile_side + x % tile_side);
      std::memcpy(&value, region->bytes().data() + tile.slot * tile_bytes + at * sizeof value,
                  sizeof value);
      return value;
    }
    return submissions.back().background;
  }

  std::optional<Region> region{};
  std::uint32_t slots = 0;
  int segments = 0;
  std::vector<Submission> submissions{};

 private:
  asio::io_context& loop_;
  std::optional<Channel> channel_{};
  std::optional<Remote<LayerClient>> client_{};
};

class chrome_layer : public testing::Test {
 public:
  asio::io_context loop;
  Screen screen{loop};
  ChromeLayer layer{loop};
};

bool same_pixels(const Screen& screen, const ChromeImage& image) {
  for (int y = 0; y < image.size.height; ++y) {
    for (int x = 0; x < image.size.width; ++x) {
      if (screen.pixel(x, y) != image.pixels[static_cast<std::size_t>(y * image.size.width + x)]) {
        return false;
      }
    }
  }
  return true;
}

TEST_F(chrome_layer, shows_the_bars_in_tiles_of_a_published_segment) {
  layer.attach(screen.connect());
  const auto frame = or_throw(layer.show(two_tabs(), window));
  EXPECT_EQ(screen.wait_for(frame).content, (Size{700, chrome_height}));
  EXPECT_EQ(layer.place(), (Rect{0, 0, 700, chrome_height}));
  EXPECT_EQ(screen.region->state(), Region::State::published);
  EXPECT_TRUE(same_pixels(screen, paint_chrome(two_tabs(), window, {})));
  EXPECT_EQ(screen.pixel(100, chrome_height), 0U);  // the page is seen through the rest of the tile
}

TEST_F(chrome_layer, what_does_not_differ_is_not_submitted_and_an_unchanged_tile_keeps_its_slot) {
  layer.attach(screen.connect());
  const auto first = or_throw(layer.show(two_tabs(), window));
  const std::vector<Tile> before = screen.wait_for(first).tiles;
  EXPECT_EQ(or_throw(layer.show(two_tabs(), window)), first);
  ChromeState other = two_tabs();
  other.can_back = true;  // drawn in the first tile
  const auto second = or_throw(layer.show(other, window));
  EXPECT_EQ(second, first + 1);
  const std::vector<Tile> after = screen.wait_for(second).tiles;
  ASSERT_EQ(after.size(), 3U);
  const auto kept = std::ranges::count_if(
      after, [&](const Tile& tile) { return std::ranges::count(before, tile) == 1; });
  EXPECT_EQ(kept, 2);
}

TEST_F(chrome_layer, without_a_free_slot_the_latest_waits_until_some_are_released) {
  layer.attach(screen.connect());
  const auto first = or_throw(layer.show(two_tabs(), window));
  std::vector<std::uint32_t> old;
  for (const Tile& tile : screen.wait_for(first).tiles) old.push_back(tile.slot);
  ChromeState state = two_tabs();
  state.tabs.assign(12, {.title = "a"});
  const auto second = or_throw(layer.show(state, window));
  screen.wait_for(second);
  state.tabs.assign(14, {.title = "b"});
  layer.show(state, window).value();
  state.tabs.assign(16, {.title = "c"});
  const auto last = or_throw(layer.show(state, window));
  screen.settle();
  EXPECT_EQ(screen.submissions.back().frame, second);
  screen.release(old);
  screen.wait_for(last);
  EXPECT_EQ(screen.submissions.size(), 3U);
  EXPECT_TRUE(same_pixels(screen, paint_chrome(state, window, {})));
}

TEST_F(chrome_layer, releases_that_are_lies_do_not_touch_what_is_shown) {
  layer.attach(screen.connect());
  ChromeState state = two_tabs();
  const auto first = or_throw(layer.show(state, window));
  const std::vector<Tile> shown = screen.wait_for(first).tiles;
  screen.release({0, 1, 2, 3, 4, 5, 4096, 0xffffffff});
  screen.settle();
  const ChromeImage before = paint_chrome(state, window, {});
  EXPECT_TRUE(same_pixels(screen, before));
  state.tabs.assign(12, {.title = "a"});
  for (const Tile& tile : screen.wait_for(or_throw(layer.show(state, window))).tiles) {
    EXPECT_TRUE(
        std::ranges::none_of(shown, [&](const Tile& old) { return old.slot == tile.slot; }));
  }
}

TEST_F(chrome_layer, another_gpu_process_gets_the_same_frame_and_nothing_is_painted) {
  layer.attach(screen.connect());
  const auto frame = or_throw(layer.show(two_tabs(), window));
  const std::vector<Tile> before = screen.wait_for(frame).tiles;
  screen.die();
  screen.settle();
  screen.submissions.clear();
  layer.attach(screen.connect());
  EXPECT_EQ(screen.wait_for(frame).tiles, before);
  EXPECT_EQ(screen.segments, 2);
  EXPECT_TRUE(same_pixels(screen, paint_chrome(two_tabs(), window, {})));
}

TEST_F(chrome_layer, what_was_shown_without_a_gpu_process_is_submitted_to_the_next) {
  ChromeState state = two_tabs();
  std::uint64_t frame = 0;
  for (std::size_t tabs = 1; tabs < 12; ++tabs) {
    state.tabs.assign(tabs, {.title = "tab"});
    frame = or_throw(layer.show(state, window));
  }
  layer.attach(screen.connect());
  screen.wait_for(frame);
  EXPECT_EQ(screen.submissions.size(), 1U);
  EXPECT_TRUE(same_pixels(screen, paint_chrome(state, window, {})));
}

TEST_F(chrome_layer, an_overlay_covers_the_window_and_goes_again) {
  layer.attach(screen.connect());
  screen.wait_for(or_throw(layer.show(two_tabs(), window)));
  const Overlay sad{.kind = Overlay::Kind::sad_tab, .cause = "It was killed by SIGSEGV."};
  screen.wait_for(or_throw(layer.show(two_tabs(), window, sad)));
  EXPECT_EQ(layer.place(), (Rect{0, 0, 700, 500}));
  EXPECT_EQ(screen.pixel(10, 300) >> 24, 0xffU);
  EXPECT_TRUE(same_pixels(screen, paint_chrome(two_tabs(), window, sad)));
  const Overlay busy{.kind = Overlay::Kind::not_responding, .cause = "For 5 s."};
  screen.wait_for(or_throw(layer.show(two_tabs(), window, busy)));
  const std::uint32_t alpha = screen.pixel(10, 480) >> 24;
  EXPECT_GT(alpha, 0U);
  EXPECT_LT(alpha, 0xffU);  // the page is seen below
  screen.wait_for(or_throw(layer.show(two_tabs(), window)));
  EXPECT_EQ(layer.place().height, chrome_height);
}

TEST_F(chrome_layer, a_window_that_cannot_be_is_refused) {
  EXPECT_EQ(layer.show({}, {.width = 0, .height = 5}).error(), ErrorKind::invalid);
  EXPECT_EQ(layer.show({}, {.width = 5, .height = -5}).error(), ErrorKind::invalid);
  EXPECT_EQ(layer.show({}, {.width = max_viewport_side + 1, .height = 5}).error(),
            ErrorKind::invalid);
}

// What is drawn ----------------------------------------------------------------------------------

TEST(chrome_paint, every_window_can_be_painted_however_small) {
  ChromeState state = two_tabs();
  state.active = 7;  // there is no such tab
  for (const int width : {1, 2, 15, 40, 90, 200}) {
    for (const int height : {1, 30, 104, 105, 130, 400}) {
      for (const auto kind : {Overlay::Kind::sad_tab, Overlay::Kind::not_responding}) {
        const auto image = paint_chrome(state, {width, height}, Overlay{kind, "cause"});
        EXPECT_EQ(image.pixels.size(), static_cast<std::size_t>(width * height));
      }
      EXPECT_EQ(paint_chrome(state, {width, height}, {}).size.height, std::min(height, 104));
    }
  }
}

TEST(chrome_paint, the_same_state_gives_the_same_pixels_and_each_part_shows) {
  const ChromeImage first = paint_chrome(two_tabs(), window, {});
  EXPECT_EQ(paint_chrome(two_tabs(), window, {}).pixels, first.pixels);
  std::set<std::vector<std::uint32_t>> seen{first.pixels};
  const auto differs = [&](auto change) {
    ChromeState state = two_tabs();
    change(state);
    return seen.insert(paint_chrome(state, window, {}).pixels).second;
  };
  EXPECT_TRUE(differs([](ChromeState& s) { s.active = 1; }));
  EXPECT_TRUE(differs([](ChromeState& s) { s.can_back = true; }));
  EXPECT_TRUE(differs([](ChromeState& s) { s.can_forward = true; }));
  EXPECT_TRUE(differs([](ChromeState& s) { s.loading = true; }));
  EXPECT_TRUE(differs([](ChromeState& s) { s.url = "https://other.example/page"; }));
  EXPECT_TRUE(differs([](ChromeState& s) { s.tabs[0].title = "Erste"; }));
  EXPECT_TRUE(differs([](ChromeState& s) { s.bookmarks.clear(); }));
  for (const auto mark : {ChromeTab::Mark::loading, ChromeTab::Mark::busy, ChromeTab::Mark::sad}) {
    EXPECT_TRUE(differs([&](ChromeState& s) { s.tabs[1].mark = mark; }));
  }
}

TEST(chrome_paint, bars_are_opaque_whatever_a_page_calls_itself) {
  ChromeState state = two_tabs();
  state.tabs[0].title = std::string(1'000'000, 'W') + "\xff\xfe\n\u202e";
  state.url = "https://" + std::string(100'000, 'a') + ".example/" + std::string(100'000, '/');
  state.bookmarks.assign(10'000, std::string(10'000, 'b'));
  const ChromeImage image = paint_chrome(state, window, {});
  EXPECT_TRUE(std::ranges::all_of(image.pixels, [](std::uint32_t p) { return p >> 24 == 0xff; }));
}

TEST(chrome_paint, the_active_tab_is_seen_among_a_hundred) {
  ChromeState state;
  state.tabs.assign(100, {.title = "tab"});
  state.active = 99;
  const ChromeImage image = paint_chrome(state, window, {});
  const auto row = std::span{image.pixels}.subspan(30 * 700, 700);
  EXPECT_NE(std::ranges::find(row, 0xfff8fafbU), row.end());  // the colour of the active one
}

}  // namespace

// SPDX-License-Identifier: Apache-2.0
//
// The gpu process as it runs: in its sandbox, with producers at the other ends of its channels. And
// as a thread, where the same must hold but the isolation.
#include <asio/io_context.hpp>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

#include <bulkhead/process.hpp>

#include "gpu/main.hpp"
#include "gpu/sandbox.hpp"
#include "gpu/testing.hpp"

namespace {

using namespace bulkhead;
using namespace porthole;
using namespace porthole::test;
using namespace std::chrono_literals;

constexpr std::uint32_t red = 0xffff0000;
constexpr std::uint32_t green = 0xff00ff00;
constexpr std::uint32_t blue = 0xff0000ff;
constexpr Size window{.width = 300, .height = 200};
constexpr LayerId page{1};
constexpr LayerId bars{2};

Process start(Placement placement) {
  const bool process = placement == Placement::process;
  return or_throw(spawn<gpu_main>({.name = "gpu",
                                   .sandbox = process ? gpu_sandbox() : sandbox::none,
                                   .arguments = arguments(std::string(), GlUse::none),
                                   .placement = placement,
                                   .mechanism = process ? Mechanism::shm : Mechanism::inproc}));
}

class gpu : public testing::TestWithParam<Placement> {
 public:
  gpu() : process(start(GetParam())), browser(loop, process.channel()) {}

  /// A new layer and who paints it.
  std::unique_ptr<Painter> painter(LayerId id, std::uint32_t slots) {
    auto ends = or_throw(pair(process.channel().mechanism()));
    browser.add_layer(id, std::move(ends.first));
    return std::make_unique<Painter>(loop, std::move(ends.second), slots);
  }

  void wait_for_failure(LayerId layer) {
    run_until(loop, [&] { return browser.failures.contains(layer); });
  }

  asio::io_context loop;
  Process process;
  Browser browser;
};
INSTANTIATE_TEST_SUITE_P(placement, gpu, testing::Values(Placement::process, Placement::thread),
                         [](const auto& chosen) {
                           return chosen.param == Placement::process ? "process" : "thread";
                         });

TEST_P(gpu, runs_in_its_sandbox) {
  browser.settle();
  EXPECT_EQ(process.sandbox_report().locked, GetParam() == Placement::process);
}

TEST_P(gpu, composes_what_two_producers_painted) {
  const auto below = painter(page, 4);
  const auto above = painter(bars, 1);
  browser.set_scene(1, window, {{page, {0, 50, 300, 150}}, {bars, {0, 0, 300, 50}}});
  below->submit(1, {below->paint(0, 0, red), below->paint(1, 0, green)});
  above->submit(9, {above->paint(0, 0, blue)});
  browser.ask(RequestId{7}, 1, {{page, 1}, {bars, 9}});
  const Picture& picture = browser.wait_for(RequestId{7});
  EXPECT_EQ(picture.size, window);
  EXPECT_EQ(picture.pixels.state(), Region::State::frozen);
  EXPECT_EQ(pixel(picture, 0, 49), blue);
  EXPECT_EQ(pixel(picture, 0, 50), red);
  EXPECT_EQ(pixel(picture, 256, 50), green);
  EXPECT_EQ(pixel(picture, 256, 49), 0xffffffff);  // one tile is not as wide as the window
}

TEST_P(gpu, a_capture_waits_for_each_awaited_frame) {
  const auto first = painter(page, 4);
  const auto second = painter(bars, 4);
  browser.set_scene(1, window, {{page, {0, 0, 300, 100}}, {bars, {0, 100, 300, 100}}});
  browser.ask(RequestId{1}, 1, {{page, 2}, {bars, 1}});
  first->submit(2, {first->paint(0, 0, red)});
  first->submit(3, {first->paint(0, 0, green)});
  browser.ask(RequestId{2}, 1, {{page, 3}});
  EXPECT_EQ(pixel(browser.wait_for(RequestId{2}), 0, 0), green);
  EXPECT_FALSE(browser.pictures.contains(RequestId{1}));
  second->submit(5, {second->paint(0, 0, blue)});
  EXPECT_EQ(pixel(browser.wait_for(RequestId{1}), 0, 100), blue);
}

TEST_P(gpu, the_same_layers_give_the_same_picture) {
  const auto painted = painter(page, 4);
  browser.set_scene(1, window, {{page, {0, 0, 300, 200}}});
  painted->submit(1, {painted->paint(0, 0, 0x40102030), painted->paint(1, 0, green)});
  browser.ask(RequestId{1}, 1, {{page, 1}});
  browser.ask(RequestId{2}, 1, {{page, 1}});
  const Bytes first = browser.wait_for(RequestId{1}).pixels.bytes();
  EXPECT_TRUE(std::ranges::equal(first, browser.wait_for(RequestId{2}).pixels.bytes()));
}

TEST_P(gpu, slots_that_are_not_shown_any_more_come_back) {
  const auto painted = painter(page, 2);
  const Tile before = painted->paint(0, 0, red);
  painted->submit(1, {before});
  painted->submit(2, {painted->paint(0, 0, green)});
  run_until(loop, [&] { return !painted->free_again.empty(); });
  EXPECT_EQ(painted->free_again, std::vector<std::uint32_t>{before.slot});
  EXPECT_EQ(painted->slots.free(), 1U);
}

TEST_P(gpu, a_producer_that_goes_leaves_its_pixels_and_is_not_waited_for) {
  auto painted = painter(page, 2);
  browser.set_scene(1, window, {{page, {0, 0, 300, 200}}});
  painted->submit(1, {painted->paint(0, 0, red)});
  browser.ask(RequestId{1}, 1, {{page, 1}});
  browser.wait_for(RequestId{1});
  browser.ask(RequestId{2}, 1, {{page, 2}});  // which will never come
  browser.settle();
  EXPECT_FALSE(browser.pictures.contains(RequestId{2}));
  painted->channel.close();
  EXPECT_EQ(pixel(browser.wait_for(RequestId{2}), 0, 0), red);
  run_until(loop, [&] { return painted->ended; });
  EXPECT_TRUE(browser.failures.empty());
}

TEST_P(gpu, a_layer_that_is_removed_is_not_waited_for_and_not_drawn) {
  const auto painted = painter(page, 2);
  browser.set_scene(1, window, {{page, {0, 0, 300, 200}}});
  painted->submit(1, {painted->paint(0, 0, red)});
  browser.ask(RequestId{1}, 1, {{page, 1}});
  browser.wait_for(RequestId{1});
  browser.ask(RequestId{2}, 1, {{page, 2}});
  browser.gpu.async_remove_layer(page, sent(loop));
  EXPECT_EQ(pixel(browser.wait_for(RequestId{2}), 0, 0), 0xffffffff);
  run_until(loop, [&] { return painted->ended; });
}

TEST_P(gpu, there_is_no_picture_of_an_output_that_there_is_not) {
  browser.ask(RequestId{1}, 3, {});
  run_until(loop, [&] { return browser.refusals.contains(RequestId{1}); });
  EXPECT_EQ(browser.refusals[RequestId{1}], "capture output 3: there is no such output");
  browser.set_scene(3, {max_picture_side, max_picture_side}, {});
  browser.ask(RequestId{2}, 3, {});
  run_until(loop, [&] { return browser.refusals.contains(RequestId{2}); });
  EXPECT_EQ(browser.refusals[RequestId{2}], "capture output 3: no picture has this size");
}

TEST_P(gpu, a_capture_of_a_scene_that_is_removed_meanwhile_is_answered) {
  const auto painted = painter(page, 1);
  browser.set_scene(1, window, {{page, {0, 0, 300, 200}}});
  browser.ask(RequestId{1}, 1, {{page, 1}});
  browser.gpu.async_remove_scene(1, sent(loop));
  run_until(loop, [&] { return browser.refusals.contains(RequestId{1}); });
}

TEST_P(gpu, each_lie_costs_its_producer_the_channel_and_nobody_else_anything) {
  const auto honest = painter(page, 2);
  browser.set_scene(1, window, {{page, {0, 0, 300, 200}}});
  honest->submit(1, {honest->paint(0, 0, red)});
  const std::vector<std::pair<std::string, void (*)(Painter&)>> lies{
      {"submit: the tile in column 0, row 0 is in slot 9 of 1",
       [](Painter& liar) { liar.claim(1, {{.column = 0, .row = 0, .slot = 9}}); }},
      {"submit: the tile in column -1, row 0 is outside of the page of 512 x 512",
       [](Painter& liar) { liar.submit(1, {{.column = -1, .row = 0, .slot = 0}}); }},
      {"submit: frame 1 comes after frame 2",
       [](Painter& liar) {
         liar.submit(2, {});
         liar.submit(1, {});
       }},
      {"submit: no page is 2147483647 x 1 pixels large",
       [](Painter& liar) { liar.submit({.frame = 1, .content = {2147483647, 1}, .tiles = {}}); }},
      {"segment: it has 4294967295 slots; 1 to 4096 are allowed",
       [](Painter& liar) {
         asio::io_context nowhere;
         liar.sink.async_segment(or_throw(liar.slots.share()), 0xffffffff, sent(nowhere));
       }},
  };
  std::uint32_t id = 10;
  for (const auto& [sentence, lie] : lies) {
    const LayerId layer{id++};
    const auto liar = painter(layer, 1);
    lie(*liar);
    wait_for_failure(layer);
    EXPECT_EQ(browser.failures[layer], sentence);
    run_until(loop, [&] { return liar->ended; });
  }
  browser.ask(RequestId{1}, 1, {{page, 1}});
  EXPECT_EQ(pixel(browser.wait_for(RequestId{1}), 0, 0), red);
  EXPECT_FALSE(browser.ended);
}

TEST_P(gpu, a_segment_that_can_shrink_costs_its_producer_the_channel) {
  const auto liar = painter(page, 1);
  liar->sink.async_segment(or_throw(Region::create(tile_bytes)), 1, sent(loop));
  wait_for_failure(page);
  run_until(loop, [&] { return liar->ended; });
  browser.settle();
}

TEST_P(gpu, a_message_that_is_none_costs_its_producer_the_channel) {
  auto ends = or_throw(pair(process.channel().mechanism()));
  browser.add_layer(page, std::move(ends.first));
  or_throw(ends.second.send(as_bytes("this is not a call"), 10s));
  wait_for_failure(page);
  browser.settle();
}

TEST_P(gpu, a_message_of_many_megabytes_costs_its_producer_the_channel_and_nobody_the_memory) {
  if (GetParam() == Placement::thread) GTEST_SKIP() << "the limit is the sender's there";
  auto ends = or_throw(pair(process.channel().mechanism()));
  browser.add_layer(page, std::move(ends.first));
  const std::vector<std::byte> long_message(50'000'000);
  EXPECT_FALSE(ends.second.send(long_message, never));
  wait_for_failure(page);
  browser.settle();
}

TEST_P(gpu, a_producer_that_never_reads_loses_its_channel) {
  auto ends = or_throw(pair(process.channel().mechanism()));
  browser.add_layer(page, std::move(ends.first));
  const Remote<LayerSink> sink{ends.second};
  const TileSlots slots = or_throw(TileSlots::create(2));
  asio::io_context idle;  // nobody runs it, so nothing is received
  sink.async_segment(or_throw(slots.share()), 2, sent(idle));
  // Each submission makes the gpu process say which slot is free again.
  for (std::uint64_t frame = 1; !browser.failures.contains(page); ++frame) {
    sink.async_submit({.frame = frame,
                       .content = {256, 256},
                       .tiles = {{.column = 0, .row = 0, .slot = frame % 2 == 0 ? 1U : 0U}}},
                      sent(idle));
    loop.restart();
    loop.poll();
  }
  browser.settle();
}

TEST_P(gpu, a_capture_of_a_liar_is_answered) {
  const auto liar = painter(page, 1);
  browser.set_scene(1, window, {{page, {0, 0, 300, 200}}});
  liar->submit(4, {liar->paint(0, 0, green)});
  browser.ask(RequestId{1}, 1, {{page, 5}});
  liar->submit(4, {});
  EXPECT_EQ(pixel(browser.wait_for(RequestId{1}), 0, 0), green);
  wait_for_failure(page);
}

TEST_P(gpu, has_room_for_a_hundred_layers) {
  std::vector<std::unique_ptr<Painter>> painters;
  std::vector<Placed> places;
  std::vector<Awaited> awaited;
  for (std::uint32_t i = 0; i < 100; ++i) {
    const LayerId layer{100 + i};
    painters.push_back(painter(layer, 1));
    painters.back()->submit(1, {painters.back()->paint(0, 0, 0xff000000 + i)});
    const auto at = static_cast<std::int32_t>(i);
    places.push_back({layer, {.x = at, .y = at, .width = 1, .height = 1}});
    awaited.push_back({layer, 1});
  }
  browser.set_scene(1, window, std::move(places));
  browser.ask(RequestId{1}, 1, std::move(awaited));
  const Picture& picture = browser.wait_for(RequestId{1});
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(pixel(picture, i, i), 0xff000000 + static_cast<std::uint32_t>(i));
  }
}

}  // namespace

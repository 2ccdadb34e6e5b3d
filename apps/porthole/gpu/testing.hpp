// SPDX-License-Identifier: Apache-2.0
//
// For tests of the gpu process: a browser and producers, in one event loop with the test.
#pragma once

#include <algorithm>
#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <cstring>
#include <gtest/gtest.h>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <bulkhead/asio.hpp>
#include <bulkhead/process.hpp>
#include <bulkhead/service.hpp>

#include "common/tile_slots.hpp"
#include "interfaces/compositor.hpp"
#include "interfaces/layers.hpp"

namespace porthole::test {

inline auto sent(asio::io_context& loop) {
  return asio::bind_executor(loop, [](const bulkhead::Result<void>&) {});
}

/// Runs the loop until `there` holds. The watchdog ends it when that never comes.
template <class Condition> void run_until(asio::io_context& loop, Condition there) {
  loop.restart();
  while (!there()) loop.run_one();
}

/// Serves CompositorHost and remembers what it was told.
class Browser {
 public:
  Browser(asio::io_context& loop, bulkhead::Channel& channel) : gpu{channel}, loop_(loop) {
    bulkhead::async_serve<CompositorHost>(
        channel, *this, asio::bind_executor(loop, [this](const bulkhead::Result<void>& outcome) {
          ended = true;
          EXPECT_TRUE(outcome) << outcome.error();
        }));
  }

  void captured(RequestId id, Picture picture) { pictures.emplace(id, std::move(picture)); }
  void not_captured(RequestId id, std::string reason) { refusals[id] = std::move(reason); }
  void producer_failed(LayerId layer, std::string reason) { failures[layer] = std::move(reason); }
  void pong(std::uint64_t token) { last_pong = token; }
  void composer(std::string name, std::string why_no_gl) {
    composers.push_back({std::move(name), std::move(why_no_gl)});
  }

  /// Everything that was sent to the gpu process before has been handled there.
  void settle() {
    gpu.async_ping(++pings_, sent(loop_));
    run_until(loop_, [this] { return last_pong == pings_; });
  }
  void add_layer(LayerId id, bulkhead::Channel producer) {
    gpu.async_add_layer(id, std::move(producer), sent(loop_));
  }
  void set_scene(std::uint32_t output, Size size, std::vector<Placed> layers) {
    gpu.async_set_scene(output, size, std::move(layers), sent(loop_));
  }
  void ask(RequestId id, std::uint32_t output, std::vector<Awaited> awaited) {
    gpu.async_capture(id, output, std::move(awaited), sent(loop_));
  }
  const Picture& wait_for(RequestId id) {
    run_until(loop_, [&] { return pictures.contains(id) || refusals.contains(id); });
    EXPECT_EQ(refusals.count(id), 0U) << refusals[id];
    return pictures.at(id);
  }

  bulkhead::Remote<Compositor> gpu;
  std::map<RequestId, Picture> pictures{};
  std::map<RequestId, std::string> refusals{};
  std::map<LayerId, std::string> failures{};
  /// Each message's name, and why not GL.
  std::vector<std::pair<std::string, std::string>> composers{};
  std::uint64_t last_pong = 0;
  bool ended = false;

 private:
  asio::io_context& loop_;
  std::uint64_t pings_ = 0;
};

/// An honest producer unless its sink is used by hand.
class Painter {
 public:
  Painter(asio::io_context& loop, bulkhead::Channel own, std::uint32_t count)
      : channel(std::move(own)),
        sink{channel},
        slots(bulkhead::or_throw(TileSlots::create(count))),
        loop_(loop) {
    bulkhead::async_serve<LayerClient>(
        channel, *this,
        asio::bind_executor(loop, [this](const bulkhead::Result<void>&) { ended = true; }));
    sink.async_segment(bulkhead::or_throw(slots.share()), count, sent(loop));
  }

  void released(std::vector<std::uint32_t> which) {
    slots.released(which);
    free_again.insert(free_again.end(), which.begin(), which.end());
  }

  /// A tile all of one colour, in a free slot.
  Tile paint(std::int32_t column, std::int32_t row, std::uint32_t color) {
    const std::uint32_t slot = slots.take().value();
    const bulkhead::MutableBytes bytes = slots.pixels(slot);
    for (std::size_t at = 0; at < bytes.size(); at += sizeof color) {
      std::memcpy(bytes.data() + at, &color, sizeof color);
    }
    return {.column = column, .row = row, .slot = slot};
  }
  void submit(std::uint64_t frame, std::vector<Tile> tiles) {
    submit({.frame = frame, .content = {.width = 512, .height = 512}, .tiles = std::move(tiles)});
  }
  void submit(Submission submission) {
    slots.submitted(submission.tiles);
    sink.async_submit(std::move(submission), sent(loop_));
  }

  /// The same of slots that it may not have.
  void claim(std::uint64_t frame, std::vector<Tile> tiles) {
    sink.async_submit({.frame = frame, .content = {512, 512}, .tiles = std::move(tiles)},
                      sent(loop_));
  }

  bulkhead::Channel channel;
  bulkhead::Remote<LayerSink> sink;
  TileSlots slots;
  std::vector<std::uint32_t> free_again{};
  bool ended = false;

 private:
  asio::io_context& loop_;
};

inline std::uint32_t pixel(const Picture& picture, int x, int y) {
  std::uint32_t value = 0;
  const auto at = static_cast<std::size_t>(y * picture.size.width + x) * sizeof value;
  std::memcpy(&value, picture.pixels.bytes().data() + at, sizeof value);
  return value;
}

}  // namespace porthole::test

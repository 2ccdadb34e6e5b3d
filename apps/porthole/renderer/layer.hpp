// SPDX-License-Identifier: Apache-2.0
//
// Layer: the renderer's end of the channel to the gpu process. What is submitted there is kept, so
// that a gpu process that was started anew gets everything again without anything being painted.
//
// Peer death: nothing is shown until the browser attaches another channel.
// TRUST: the gpu process is a stranger: all that comes from it are numbers of slots.
#pragma once

#include <asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include <bulkhead/channel.hpp>
#include <bulkhead/service.hpp>

#include "interfaces/layers.hpp"
#include "renderer/tiles.hpp"

namespace porthole {

class Layer {
 public:
  /// `slots_came_free` is called in the loop after each release.
  Layer(asio::io_context& loop, std::function<void()> slots_came_free);
  ~Layer();

  bool is_attached() const noexcept { return connection_ != nullptr; }
  /// Replaces an earlier channel, and submits there what was submitted last.
  void attach(bulkhead::Channel gpu);

  /// New memory for tiles; all earlier ones are gone.
  void set_tiles(Tiles tiles);
  Tiles* tiles() noexcept { return tiles_ ? &*tiles_ : nullptr; }

  /// Shows the tiles that are up to date, as Tiles::submission chooses. The frame's number.
  std::uint64_t submit(const Rect& visible, const Rect& around, Size content,
                       std::uint32_t background);
  std::uint64_t frame() const noexcept { return frame_; }

 private:
  struct Connection;

  void send_segment();
  void send();

  asio::io_context& loop_;
  std::function<void()> slots_came_free_;
  std::optional<Tiles> tiles_;
  std::shared_ptr<Connection> connection_;
  std::optional<Submission> last_;
  std::uint64_t frame_ = 0;
};

}  // namespace porthole

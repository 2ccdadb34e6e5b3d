// SPDX-License-Identifier: Apache-2.0
#include "renderer/layer.hpp"

#include <utility>

#include <bulkhead/asio.hpp>

namespace porthole {
namespace {

constexpr auto ignore = [](const bulkhead::Result<void>&) {};  // a dead end is replaced by attach

}  // namespace

/// One channel; lives until its serving has ended, which may be after another has replaced it.
struct Layer::Connection {
  Connection(Layer& layer, bulkhead::Channel gpu) : owner(&layer), channel(std::move(gpu)) {}

  void released(const std::vector<std::uint32_t>& slots) {
    if (!owner || !owner->tiles_) return;
    owner->tiles_->released(slots);
    owner->slots_came_free_();
  }

  Layer* owner;
  bulkhead::Channel channel;
  bulkhead::Remote<LayerSink> sink{channel};
};

Layer::Layer(asio::io_context& loop, std::function<void()> slots_came_free)
    : loop_(loop), slots_came_free_(std::move(slots_came_free)) {}

Layer::~Layer() {
  if (connection_) connection_->owner = nullptr;
}

void Layer::attach(bulkhead::Channel gpu) {
  if (connection_) {
    connection_->owner = nullptr;
    connection_->channel.close();
  }
  // It came from the browser, whom we trust; the other end is the gpu process, whom we do not.
  auto handle = std::move(gpu).into_handle();
  if (!handle) return;
  auto channel = bulkhead::Channel::from_handle(*std::move(handle), bulkhead::Trust::untrusted);
  if (!channel) return;
  connection_ = std::make_shared<Connection>(*this, *std::move(channel));
  bulkhead::async_serve<LayerClient>(
      connection_->channel, *connection_,
      asio::bind_executor(loop_, [kept = connection_](const bulkhead::Result<void>&) {}));
  if (tiles_) tiles_->restart();
  send_segment();
  if (!last_) return;
  last_->frame = ++frame_;
  send();
}

void Layer::set_tiles(Tiles tiles) {
  tiles_ = std::move(tiles);
  last_.reset();
  send_segment();
}

void Layer::send_segment() {
  if (!connection_ || !tiles_) return;
  auto pixels = tiles_->share();
  if (!pixels) return;
  connection_->sink.async_segment(*std::move(pixels), tiles_->slots(),
                                  asio::bind_executor(loop_, ignore));
}

void Layer::send() {
  if (!connection_) return;
  connection_->sink.async_submit(*last_, asio::bind_executor(loop_, ignore));
}

std::uint64_t Layer::submit(const Rect& visible, const Rect& around, Size content,
                            std::uint32_t background) {
  last_ = tiles_->submission(visible, around);
  last_->frame = ++frame_;
  last_->content = content;
  last_->scroll = {.x = visible.x, .y = visible.y};
  last_->background = background;
  send();
  return frame_;
}

}  // namespace porthole

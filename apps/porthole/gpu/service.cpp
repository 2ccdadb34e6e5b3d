// SPDX-License-Identifier: Apache-2.0
#include "gpu/service.hpp"

#include <algorithm>
#include <asio/bind_executor.hpp>
#include <utility>

#include <bulkhead/asio.hpp>

#include "gpu/producer.hpp"

namespace porthole {

using namespace bulkhead;

namespace {

bool shown_size(Size size) {
  return size.width > 0 && size.height > 0 && size.width <= max_picture_side &&
         size.height <= max_picture_side &&
         std::int64_t{size.width} * size.height <= max_picture_pixels;
}

/// The largest submission is about 50 KB; a longer message is not put together first.
constexpr std::size_t longest_message = 64 * 1024;

/// A Channel that came from the browser has the browser's trust, and its other end does not
/// deserve that.
Result<Channel> distrusted(Channel channel) {
  Handle handle = BULKHEAD_TRY(std::move(channel).into_handle());
  return Channel::from_handle(std::move(handle), {.trust = Trust::untrusted,
                                                  .capacity_bytes = 64 * 1024,
                                                  .max_message_bytes = longest_message});
}

/// Queued; when the browser is gone nobody needs to know.
auto not_waited_for(asio::io_context& loop) {
  return asio::bind_executor(loop, [](const Result<void>&) {});
}

}  // namespace

CompositorService::CompositorService(asio::io_context& loop, Channel& browser, Composer& composer)
    : loop_(loop), browser_(browser), composer_(composer) {}

CompositorService::~CompositorService() {
  for (const auto& [id, producer] : layers_) producer->stop();
}

void CompositorService::add_layer(LayerId id, Channel channel) {
  remove_layer(id);
  auto mine = distrusted(std::move(channel));
  if (!mine) return report(id, mine.error().sentence());
  auto producer = std::make_shared<Producer>(
      loop_, ++producers_, std::move(*mine),
      Producer::Events{
          .changed = [this] { answer_captures(); },
          .failed = [this, id](std::string reason) { report(id, std::move(reason)); },
      });
  layers_.emplace(id, producer);
  producer->start();
}

void CompositorService::remove_layer(LayerId id) {
  const auto found = layers_.find(id);
  if (found == layers_.end()) return;
  found->second->stop();
  layers_.erase(found);
  answer_captures();
}

void CompositorService::set_scene(std::uint32_t output, Size size, std::vector<Placed> layers) {
  scenes_[output] = Scene{.size = size, .layers = std::move(layers)};
}

void CompositorService::remove_scene(std::uint32_t output) {
  scenes_.erase(output);
  answer_captures();
}

void CompositorService::capture(RequestId id, std::uint32_t output, std::vector<Awaited> awaited) {
  waiting_.push_back({.id = id, .output = output, .awaited = std::move(awaited)});
  answer_captures();
}

void CompositorService::tell_composer(std::string name, std::string why_no_gl) {
  browser_.async_composer(std::move(name), std::move(why_no_gl), not_waited_for(loop_));
}

void CompositorService::ping(std::uint64_t token) {
  browser_.async_pong(token, not_waited_for(loop_));
}

bool CompositorService::reached(const Awaited& awaited) const {
  const auto found = layers_.find(awaited.layer);
  if (found == layers_.end() || !found->second->alive()) return true;
  return found->second->layer().frame() >= awaited.frame;
}

void CompositorService::answer_captures() {
  const auto ready = [this](const Capture& capture) {
    return !scenes_.contains(capture.output) ||
           std::ranges::all_of(capture.awaited,
                               [this](const Awaited& awaited) { return reached(awaited); });
  };
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    if (!ready(*next)) {
      ++next;
      continue;
    }
    answer(*next);
    next = waiting_.erase(next);
  }
}

Result<Picture> CompositorService::compose(std::uint32_t output) {
  const auto scene = scenes_.find(output);
  if (scene == scenes_.end()) {
    return fail(ErrorKind::not_found, {.operation = "capture",
                                       .object = "output " + std::to_string(output),
                                       .cause = "there is no such output"});
  }
  if (!shown_size(scene->second.size)) {
    return fail(ErrorKind::too_large, {.operation = "capture",
                                       .object = "output " + std::to_string(output),
                                       .cause = "no picture has this size"});
  }
  std::vector<Surface> surfaces;
  for (const Placed& placed : scene->second.layers) {
    const auto layer = layers_.find(placed.layer);
    if (layer == layers_.end()) continue;
    if (auto surface = layer->second->layer().surface(placed.place)) {
      surface->producer = layer->second->number();
      surfaces.push_back(std::move(*surface));
    }
  }
  return composer_.compose(scene->second.size, surfaces);
}

void CompositorService::answer(const Capture& capture) {
  auto picture = compose(capture.output);
  if (picture) {
    browser_.async_captured(capture.id, std::move(*picture), not_waited_for(loop_));
  } else {
    browser_.async_not_captured(capture.id, picture.error().sentence(), not_waited_for(loop_));
  }
}

void CompositorService::report(LayerId layer, std::string reason) {
  browser_.async_producer_failed(layer, std::move(reason), not_waited_for(loop_));
}

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
//
// The insides of FakeBrowser and FakeGpu.
#include "renderer/fake_browser.hpp"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <utility>

#include "renderer/main.hpp"
#include "support/watchdog.hpp"

namespace porthole::test {

using bulkhead::or_throw;

bulkhead::Region frozen(std::string_view bytes) {
  auto region = or_throw(bulkhead::Region::create(std::max<std::size_t>(bytes.size(), 1)));
  std::memcpy(region.mutable_bytes().data(), bytes.data(), bytes.size());
  or_throw(region.freeze());
  return region;
}

PluginOutput plain_picture(Size size, std::uint32_t colour) {
  const auto count = static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height);
  const std::vector<std::uint32_t> pixels(count, colour);
  return {.pixels = frozen({reinterpret_cast<const char*>(pixels.data()), 4 * pixels.size()}),
          .size = size,
          .html = {}};
}

FakeGpu::FakeGpu(asio::io_context& loop, bulkhead::Channel channel)
    : loop_(loop), channel_(std::move(channel)) {
  bulkhead::async_serve<LayerSink>(channel_, *this,
                                   asio::bind_executor(loop, [](const bulkhead::Result<void>&) {}));
}

void FakeGpu::segment(bulkhead::Region region, std::uint32_t count) {
  sent_region_read_only =
      !region.writable() && region.state() == bulkhead::Region::State::published;
  pixels = std::move(region);
  slots = count;
  last = {};
}

void FakeGpu::submit(Submission submission) {
  ++submissions;
  std::vector<std::uint32_t> gone;
  for (const Tile& old : last.tiles) {
    const bool stays = std::ranges::any_of(submission.tiles,
                                           [&](const Tile& tile) { return tile.slot == old.slot; });
    if (!stays) gone.push_back(old.slot);
  }
  last = std::move(submission);
  if (!releases || gone.empty()) return;
  client_.async_released(gone, asio::bind_executor(loop_, [](const bulkhead::Result<void>&) {}));
}

std::uint32_t FakeGpu::pixel(Point at) const {
  for (const Tile& tile : last.tiles) {
    if (tile.column != at.x / tile_side || tile.row != at.y / tile_side) continue;
    if (tile.slot >= slots) return 0;
    std::uint32_t value = 0;
    const auto x = static_cast<std::size_t>(at.x % tile_side);
    const auto y = static_cast<std::size_t>(at.y % tile_side);
    std::memcpy(&value, pixels->bytes().data() + tile.slot * tile_bytes + 4 * (y * tile_side + x),
                4);
    return value;
  }
  return last.background;
}

int FakeGpu::count(const Rect& area, std::uint32_t colour) const {
  int found = 0;
  for (std::int32_t y = area.y; y < area.y + area.height; ++y) {
    for (std::int32_t x = area.x; x < area.x + area.width; ++x) {
      if (pixel({.x = x, .y = y}) == colour) ++found;
    }
  }
  return found;
}

/// A plugin at the other end of a granted channel.
struct FakeBrowser::FakePlugin {
  FakePlugin(FakeBrowser& owner, bulkhead::Channel end) : browser(owner), channel(std::move(end)) {
    bulkhead::async_serve<Plugin>(
        channel, *this, asio::bind_executor(browser.loop_, [](const bulkhead::Result<void>&) {}));
  }
  bulkhead::Result<PluginOutput> render(PluginInput input) {
    if (browser.plugins_to_kill > 0) {
      --browser.plugins_to_kill;
      channel.close();
      return bulkhead::fail(bulkhead::ErrorKind::closed);
    }
    return browser.plugins.at(input.mime_type)(std::string{bulkhead::as_text(input.bytes.bytes())});
  }
  FakeBrowser& browser;
  bulkhead::Channel channel;
};

FakeBrowser::FakeBrowser(const Options& options) {
  auto resource_pair = or_throw(bulkhead::pair(bulkhead::Mechanism::shm));
  auto plugin_pair = or_throw(bulkhead::pair(bulkhead::Mechanism::shm));
  bulkhead::SpawnOptions how{.name = "renderer"};
  how.sandbox = options.sandbox;
  how.placement = options.placement;
  if (how.placement == bulkhead::Placement::thread) how.mechanism = bulkhead::Mechanism::inproc;
  how.arguments = bulkhead::arguments(std::string{});
  how.channels.add("resources", std::move(resource_pair.second));
  how.channels.add("plugins", std::move(plugin_pair.second));
  process_ = or_throw(bulkhead::spawn<renderer_main>(std::move(how)));
  resource_channel_ = std::move(resource_pair.first);
  plugin_channel_ = std::move(plugin_pair.first);
  frame_.emplace(process_->channel());
  resource_client_.emplace(*resource_channel_);
  plugin_user_.emplace(*plugin_channel_);
  bulkhead::async_serve<FrameHost>(
      process_->channel(), *this,
      asio::bind_executor(loop_, [this](const bulkhead::Result<void>&) { main_ended_ = true; }));
  bulkhead::async_serve<ResourceLoader>(*resource_channel_, *this, token());
  bulkhead::async_serve<PluginBroker>(*plugin_channel_, *this, token());
}

FakeBrowser::~FakeBrowser() = default;

void FakeBrowser::attach_gpu() {
  auto ends = or_throw(bulkhead::pair(bulkhead::Mechanism::shm));
  gpus_.push_back(std::make_unique<FakeGpu>(loop_, std::move(ends.first)));
  frame_->async_attach_layer(std::move(ends.second), token());
}

void FakeBrowser::show(const std::string& url, const std::string& html, const std::string& mime) {
  if (gpus_.empty()) {
    frame_->async_resize(Size{.width = 600, .height = 400}, token());
    attach_gpu();
  }
  navigation = NavigationId{static_cast<std::uint64_t>(navigation) + 1};
  is_complete = false;
  Commit commit{.navigation = navigation,
                .url = url,
                .mime_type = mime,
                .charset = "utf-8",
                .body = {},
                .scroll = {}};
  if (!html.empty()) commit.body = frozen(html);
  frame_->async_commit(std::move(commit), token());
}

void FakeBrowser::run_until(const std::string& what, const std::function<bool()>& done) {
  const bulkhead::test::Waiting waiting{what};
  while (!done()) {
    if (main_ended_) {
      ADD_FAILURE() << "the renderer ended while waiting for " << what;
      const auto exit = process_->wait(bulkhead::Deadline{std::chrono::seconds(10)});
      if (exit) ADD_FAILURE() << *exit;
      return;
    }
    loop_.run_one();
  }
}

void FakeBrowser::run_until_complete() {
  run_until("a complete page", [this] { return is_complete && gpu().last.frame >= painted; });
}

bulkhead::Exit FakeBrowser::death() {
  const bulkhead::test::Waiting waiting{"the renderer's death"};
  while (!main_ended_) loop_.run_one();
  return or_throw(process_->wait(bulkhead::never));
}

void FakeBrowser::did_commit(NavigationId which, std::string title) {
  EXPECT_EQ(which, navigation);
  commits.push_back(std::move(title));
}

void FakeBrowser::did_paint(NavigationId which, std::uint64_t frame, Size size, bool complete) {
  EXPECT_FALSE(is_complete && !complete && which == navigation);
  ++paints;
  painted = frame;
  content = size;
  is_complete = complete && which == navigation;
}

void FakeBrowser::began_navigation(std::string url) { navigations.push_back(std::move(url)); }
void FakeBrowser::report(NavigationId, std::string text) { reports.push_back(std::move(text)); }
void FakeBrowser::pong(std::uint64_t token) { pongs.push_back(token); }

void FakeBrowser::start(ResourceRequest request) {
  asked.push_back(request.url);
  if (std::ranges::find(held, request.url) != held.end()) {
    held_requests_.push_back(std::move(request));
    return;
  }
  answer(request);
}

void FakeBrowser::answer(const ResourceRequest& request) {
  const auto found = resources.find(request.url);
  if (found == resources.end() || !found->second.failure.empty()) {
    const std::string reason = found == resources.end() ? "not found" : found->second.failure;
    resource_client_->async_failed(request.id, reason, token());
    return;
  }
  ResourceHead head{
      .status = 200, .url = request.url, .mime_type = found->second.mime_type, .charset = {}};
  resource_client_->async_loaded(request.id, std::move(head), frozen(found->second.body), token());
}

void FakeBrowser::release_held() {
  held.clear();
  for (const ResourceRequest& request : std::exchange(held_requests_, {})) answer(request);
}

void FakeBrowser::cancel(RequestId) {}

void FakeBrowser::acquire(RequestId id, std::string mime_type) {
  ++acquired;
  if (!plugins.contains(mime_type)) {
    plugin_user_->async_refused(id, "no plugin for " + mime_type, token());
    return;
  }
  auto ends = or_throw(bulkhead::pair(bulkhead::Mechanism::shm));
  fake_plugins_.push_back(std::make_unique<FakePlugin>(*this, std::move(ends.first)));
  plugin_user_->async_granted(id, std::move(mime_type), std::move(ends.second), token());
}

}  // namespace porthole::test

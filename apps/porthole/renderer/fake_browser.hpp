// SPDX-License-Identifier: Apache-2.0
//
// For tests: a browser and a gpu process, as far as a renderer can tell, around a real renderer
// process in its real sandbox. What it asks for is in a map; what it paints can be looked at.
#pragma once

#include <asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <bulkhead/asio.hpp>
#include <bulkhead/process.hpp>
#include <bulkhead/region.hpp>
#include <bulkhead/service.hpp>

#include "interfaces/frame.hpp"
#include "interfaces/layers.hpp"
#include "interfaces/plugin.hpp"
#include "interfaces/resources.hpp"
#include "renderer/sandbox.hpp"

namespace porthole::test {

bulkhead::Region frozen(std::string_view bytes);

/// The other end of the layer: keeps what was submitted, and frees slots as a gpu process does.
class FakeGpu {
 public:
  FakeGpu(asio::io_context& loop, bulkhead::Channel channel);

  // LayerSink
  void segment(bulkhead::Region pixels, std::uint32_t slots);
  void submit(Submission submission);

  /// Of the page, 0xAARRGGBB; the background where no tile is.
  std::uint32_t pixel(Point at) const;
  /// Pixels of that colour in a rectangle.
  int count(const Rect& area, std::uint32_t colour) const;

  std::optional<bulkhead::Region> pixels;
  std::uint32_t slots = 0;
  Submission last;
  int submissions = 0;
  bool releases = true;
  bool sent_region_read_only = false;

 private:
  asio::io_context& loop_;
  bulkhead::Channel channel_;
  bulkhead::Remote<LayerClient> client_{channel_};
};

class FakeBrowser {
 public:
  struct Resource {
    std::string mime_type;
    std::string body;
    std::string failure{};
  };
  struct Options {
    bulkhead::Sandbox sandbox = renderer_sandbox();
    bulkhead::Placement placement = bulkhead::Placement::process;
  };

  FakeBrowser() : FakeBrowser(Options{}) {}
  explicit FakeBrowser(const Options& options);
  ~FakeBrowser();

  /// Commits a page and runs until `done`.
  void show(const std::string& url, const std::string& html, const std::string& mime = "text/html");
  void run_until(const std::string& what, const std::function<bool()>& done);
  void run_until_complete();
  /// Runs until the renderer has died.
  bulkhead::Exit death();
  void attach_gpu();
  FakeGpu& gpu() { return *gpus_.back(); }
  bulkhead::Remote<Frame>& frame() { return *frame_; }
  bulkhead::Process& process() { return *process_; }
  auto token() {
    return asio::bind_executor(loop_, [](const bulkhead::Result<void>&) {});
  }

  // FrameHost
  void did_commit(NavigationId navigation, std::string title);
  void did_paint(NavigationId navigation, std::uint64_t frame, Size content, bool complete);
  void began_navigation(std::string url);
  void report(NavigationId navigation, std::string text);
  void pong(std::uint64_t token);
  // ResourceLoader
  void start(ResourceRequest request);
  void cancel(RequestId id);
  // PluginBroker
  void acquire(RequestId id, std::string mime_type);

  std::map<std::string, Resource> resources;
  std::vector<std::string> asked;
  /// Answers to requests for these are given when release_held() is called.
  std::vector<std::string> held;
  void release_held();

  /// What the plugin of a MIME type does with a picture's bytes.
  using Render = std::function<bulkhead::Result<PluginOutput>(const std::string&)>;
  std::map<std::string, Render> plugins;
  /// So many plugins die when they are asked for the first time.
  int plugins_to_kill = 0;
  int acquired = 0;

  NavigationId navigation{};
  std::vector<std::string> commits;
  std::vector<std::string> navigations;
  std::vector<std::string> reports;
  std::vector<std::uint64_t> pongs;
  Size content{};
  std::uint64_t painted = 0;
  int paints = 0;
  bool is_complete = false;

 private:
  struct FakePlugin;
  void answer(const ResourceRequest& request);

  asio::io_context loop_;
  std::optional<bulkhead::Process> process_;
  std::optional<bulkhead::Channel> resource_channel_;
  std::optional<bulkhead::Channel> plugin_channel_;
  std::optional<bulkhead::Remote<Frame>> frame_;
  std::optional<bulkhead::Remote<ResourceClient>> resource_client_;
  std::optional<bulkhead::Remote<PluginUser>> plugin_user_;
  std::vector<std::unique_ptr<FakeGpu>> gpus_;
  std::vector<std::unique_ptr<FakePlugin>> fake_plugins_;
  std::vector<ResourceRequest> held_requests_;
  bool main_ended_ = false;
};

/// A picture of one colour, as a plugin returns it.
PluginOutput plain_picture(Size size, std::uint32_t colour);

}  // namespace porthole::test

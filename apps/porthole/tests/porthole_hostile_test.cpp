// SPDX-License-Identifier: Apache-2.0
//
// Scenario: a renderer that was taken over by its page. This program is porthole's browser, gpu and
// plugin process, all of them real; its renderer is real too, but for a process that is started while
// BULKHEAD_TEST_LIE names a lie: that one says what it should not, on each of its channels. It is
// ended and its tab is sad; other tabs keep their pixels and their processes.
#include <algorithm>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/thread_pool.hpp>
#include <cstdlib>
#include <gtest/gtest.h>
#include <map>

#include <bulkhead/asio.hpp>
#include <bulkhead/bulkhead.hpp>

#include "browser/browser.hpp"
#include "interfaces/frame.hpp"
#include "interfaces/layers.hpp"
#include "interfaces/plugin.hpp"
#include "interfaces/resources.hpp"
#include "renderer/main.hpp"
#include "renderer/renderer.hpp"
#include "support/watchdog.hpp"
#include "tests/loopback_server.hpp"

namespace porthole {
namespace {

using namespace std::chrono_literals;
using bulkhead::Bootstrap;
using bulkhead::Channel;
using bulkhead::or_throw;
using bulkhead::Remote;

constexpr const char* lie_variable = "BULKHEAD_TEST_LIE";

// In the renderer's process ------------------------------------------------------------------------

/// What a liar has to lie with.
struct Means {
  NavigationId navigation;
  Remote<FrameHost> host;
  Remote<ResourceLoader> resources;
  Remote<PluginBroker> plugins;
  std::optional<Channel> layer;
};

constexpr NavigationId anothers{999'999};
constexpr Size page{.width = 100, .height = 100};

NavigationId before(NavigationId navigation) {
  return NavigationId{static_cast<std::uint64_t>(navigation) - 1};
}

/// One tile in one slot.
void submit(Means& means, Tile tile, std::uint32_t slots_claimed, Size content = page) {
  auto pixels = or_throw(bulkhead::Region::create(tile_bytes));
  or_throw(pixels.publish());
  const Remote<LayerSink> sink{*means.layer};
  sink.segment(std::move(pixels), slots_claimed);
  sink.submit({.frame = 1, .content = content, .scroll = {}, .tiles = {tile}});
}

using Lie = std::function<void(Means&)>;

/// In order of the channels: main, resources, plugins, layer.
const std::map<std::string, Lie>& lies() {
  static const std::map<std::string, Lie> all{
      {"commits-anothers-page", [](Means& m) { m.host.did_commit(anothers, "mine"); }},
      {"commits-the-page-of-a-tab-beside",
       [](Means& m) { m.host.did_commit(before(m.navigation), "mine"); }},
      {"commits-twice",
       [](Means& m) {
         m.host.did_commit(m.navigation, "once");
         m.host.did_commit(m.navigation, "twice");
       }},
      {"paints-before-it-commits", [](Means& m) { m.host.did_paint(m.navigation, 1, page, true); }},
      {"paints-anothers-page", [](Means& m) { m.host.did_paint(anothers, 1, page, true); }},
      {"paints-a-page-of-absurd-size",
       [](Means& m) {
         m.host.did_commit(m.navigation, "x");
         m.host.did_paint(m.navigation, 1, {.width = -1, .height = max_page_side + 1}, true);
       }},
      {"paints-backwards",
       [](Means& m) {
         m.host.did_commit(m.navigation, "x");
         m.host.did_paint(m.navigation, 9, page, false);
         m.host.did_paint(m.navigation, 3, page, false);
       }},
      {"answers-a-ping-of-nobody", [](Means& m) { m.host.pong(4711); }},
      {"reports-of-anothers-page", [](Means& m) { m.host.report(anothers, "x"); }},
      {"reports-without-end",
       [](Means& m) { m.host.report(m.navigation, std::string(1 << 20, 'x')); }},
      {"goes-nowhere", [](Means& m) { m.host.began_navigation(""); }},
      {"loads-for-anothers-page",
       [](Means& m) { m.resources.start({.id = {}, .navigation = anothers, .url = "data:,x"}); }},
      {"loads-twice-by-one-number",
       [](Means& m) {
         for (int i = 0; i < 2; ++i) {
           m.resources.start({.id = {}, .navigation = m.navigation, .url = "data:,x"});
         }
       }},
      {"loads-something-of-no-kind",
       [](Means& m) {
         m.resources.start(
             {.id = {}, .navigation = m.navigation, .url = "data:,x", .kind = ResourceKind{77}});
       }},
      {"cancels-what-it-never-asked-for", [](Means& m) { m.resources.cancel(RequestId{5}); }},
      {"acquires-a-plugin-for-nothing", [](Means& m) { m.plugins.acquire(RequestId{1}, ""); }},
      {"acquires-twice-by-one-number",
       [](Means& m) {
         for (int i = 0; i < 2; ++i) m.plugins.acquire(RequestId{1}, "image/png");
       }},
      {"shows-tiles-outside-its-memory", [](Means& m) { submit(m, {.slot = 4000}, 1); }},
      {"claims-more-memory-than-it-gives", [](Means& m) { submit(m, {}, max_slots); }},
      {"has-a-page-of-negative-size",
       [](Means& m) { submit(m, {}, 1, {.width = -5, .height = -5}); }},
  };
  return all;
}

/// What a renderer may ask and must not get.
const std::map<std::string, std::string>& wishes() {
  static const std::map<std::string, std::string> all{
      {"wants-a-file", "file:///etc/passwd"},
      {"wants-a-page-of-the-browser", "about:processes"},
      {"wants-what-is-no-url", "no url at all"},
  };
  return all;
}

/// Serves Frame, and lies as soon as it has a page and a layer. What it is answered when it asks for
/// something becomes its page's title.
class Liar {
 public:
  Liar(asio::io_context& loop, Bootstrap& boot, Lie lie)
      : resources_(or_throw(boot.channel("resources"))),
        plugins_(or_throw(boot.channel("plugins"))),
        means_{.navigation = {},
               .host = Remote<FrameHost>{boot.channel()},
               .resources = Remote<ResourceLoader>{resources_},
               .plugins = Remote<PluginBroker>{plugins_},
               .layer = {}},
        lie_(std::move(lie)) {
    bulkhead::async_serve<ResourceClient>(
        resources_, *this, asio::bind_executor(loop, [](const bulkhead::Result<void>&) {}));
  }

  // ResourceClient
  void loaded(RequestId, ResourceHead head, std::optional<bulkhead::Region>) {
    show("loaded " + head.url);
  }
  void failed(RequestId, std::string reason) { show(reason); }

  // Frame
  void commit(Commit commit) {
    means_.navigation = commit.navigation;
    lie_if_ready();
  }
  void attach_layer(Channel gpu) {
    means_.layer.emplace(std::move(gpu));
    lie_if_ready();
  }
  void stop(NavigationId) {}
  void resize(Size) {}
  void scroll_to(Point) {}
  void click(Point) {}
  void ping(std::uint64_t) {}

 private:
  void show(const std::string& title) {
    means_.host.did_commit(means_.navigation, title);
    means_.host.did_paint(means_.navigation, 1, page, true);
  }
  void lie_if_ready() {
    if (means_.layer && means_.navigation != NavigationId{}) lie_(means_);
  }

  Channel resources_;
  Channel plugins_;
  Means means_;
  Lie lie_;
};

// Below the interfaces: what is sent is not a call, or not a whole one.

/// The bytes of two calls, as a renderer sends them.
std::vector<std::string> real_messages() {
  auto [ours, theirs] = or_throw(bulkhead::pair(bulkhead::Mechanism::inproc));
  const Remote<FrameHost> host{ours};
  host.report(NavigationId{1}, "a report of some length");
  host.did_commit(NavigationId{1}, "title");
  std::vector<std::string> messages;
  while (auto message = theirs.receive(0s)) messages.emplace_back(message->text());
  return messages;
}

using Forgery = std::function<std::vector<std::string>(std::vector<std::string> messages)>;

const std::map<std::string, Forgery>& forgeries() {
  using Messages = std::vector<std::string>;
  static const std::map<std::string, Forgery> all{
      {"raw-noise", [](const Messages&) { return Messages{std::string(4096, '\xa5')}; }},
      {"raw-nothing", [](const Messages&) { return Messages{"", "x"}; }},
      {"raw-truncated",
       [](Messages real) {
         for (auto& message : real) message.resize(message.size() / 2);
         return real;
       }},
      {"raw-too-long",
       [](Messages real) {
         for (auto& message : real) message += std::string(1000, '\xff');
         return real;
       }},
      {"raw-reordered",
       [](Messages real) {
         std::ranges::reverse(real);
         return real;
       }},
      {"raw-flipped",
       [](Messages real) {
         for (auto& message : real) {
           for (char& c : message) c = static_cast<char>(~c);
         }
         return real;
       }},
  };
  return all;
}

void send_forgery(Bootstrap& boot, const Forgery& forgery) {
  auto& channel = boot.channel();
  static_cast<void>(channel.receive(bulkhead::never));  // it is known to us now
  for (const auto& message : forgery(real_messages())) {
    static_cast<void>(channel.send(bulkhead::as_bytes(message), 5s));
  }
  while (channel.receive(bulkhead::never)) {
  }
}

template <class Implementation>
void serve_frame(asio::io_context& loop, Bootstrap& boot, Implementation& implementation) {
  bulkhead::async_serve<Frame>(
      boot.channel(), implementation,
      asio::bind_executor(loop, [&](const bulkhead::Result<void>&) { loop.stop(); }));
  loop.run();
}

}  // namespace

/// In place of the one in renderer/main.cpp.
void renderer_main(Bootstrap& boot) {
  asio::io_context loop{1};
  const char* name = std::getenv(lie_variable);
  if (const auto forgery = forgeries().find(name ? name : ""); forgery != forgeries().end()) {
    return send_forgery(boot, forgery->second);
  }
  if (const auto lie = lies().find(name ? name : ""); lie != lies().end()) {
    Liar liar{loop, boot, lie->second};
    return serve_frame(loop, boot, liar);
  }
  if (const auto wish = wishes().find(name ? name : ""); wish != wishes().end()) {
    Liar liar{loop, boot, [&](Means& m) {
                m.resources.start({.id = {}, .navigation = m.navigation, .url = wish->second});
              }};
    return serve_frame(loop, boot, liar);
  }
  auto resources = or_throw(boot.channel("resources"));
  auto plugins = or_throw(boot.channel("plugins"));
  Renderer renderer{loop, boot.channel(), std::move(resources), std::move(plugins)};
  renderer.warm_up();
  serve_frame(loop, boot, renderer);
}

// In the browser's process ---------------------------------------------------------------------------

namespace test {
namespace {

class PortholeHostile : public testing::Test {
 protected:
  PortholeHostile() {
    serve_ten_pages(server_);
    browser_.on_change([this](Tab&) { changed_ = true; });
  }
  ~PortholeHostile() override {
    bool ended = false;
    browser_.end([&] { ended = true; });
    run_until([&] { return ended; }, "the end of all children");
    workers_.join();
  }

  template <class Condition> void run_until(Condition condition, std::string_view what) {
    const bulkhead::test::Waiting waiting{what};
    const auto work = asio::make_work_guard(loop_);
    loop_.restart();
    while (!condition()) loop_.run_one();
  }

  void settle(const Tab& tab) {
    run_until([&] { return tab.status() != Tab::Status::loading; }, "a tab to settle");
  }

  std::vector<std::byte> picture(const Tab& tab) {
    std::optional<bulkhead::Result<Picture>> taken;
    browser_.capture(tab.id(), [&](auto picture) { taken.emplace(std::move(picture)); });
    run_until([&] { return taken.has_value(); }, "a picture");
    if (!*taken) return {};
    const auto all = (*taken)->pixels.bytes();
    // Below the bars, which show the other tabs' state.
    const auto bars = static_cast<std::size_t>(chrome_height * window_.width) * 4;
    return {all.begin() + static_cast<std::ptrdiff_t>(bars), all.end()};
  }

  std::vector<pid_t> renderers() const {
    std::vector<pid_t> pids;
    for (const auto& row : browser_.processes()) {
      if (row.kind == "renderer") pids.push_back(row.pid);
    }
    return pids;
  }

  /// The victim's tab goes to a page whose renderer lies.
  void let_lie(const std::string& lie) {
    ::setenv(lie_variable, lie.c_str(), 1);
    browser_.go(*victim_, server_.url("/page/9", "e.test"));
    settle(*victim_);
    ::unsetenv(lie_variable);
  }

  void expect_ended(const std::string& lie) {
    SCOPED_TRACE(lie);
    let_lie(lie);
    EXPECT_EQ(victim_->status(), Tab::Status::sad);
    EXPECT_TRUE(victim_->reason().contains("it sent a bad message")) << victim_->reason();
    EXPECT_EQ(renderers(), honest_);
    EXPECT_EQ(picture(*tabs_[0]), pictures_[0]);
    EXPECT_EQ(picture(*tabs_[1]), pictures_[1]);
    EXPECT_EQ(tabs_[0]->title(), "Page 1");
  }

  void open_honest_tabs() {
    for (const int number : {1, 3}) {
      tabs_.push_back(&browser_.open(ten_pages(server_)[static_cast<std::size_t>(number - 1)]));
      settle(*tabs_.back());
      ASSERT_EQ(tabs_.back()->status(), Tab::Status::painted) << tabs_.back()->reason();
    }
    for (const auto* tab : tabs_) pictures_.push_back(picture(*tab));
    honest_ = renderers();
    victim_ = &browser_.open("about:crash");
    settle(*victim_);
  }

  void expect_honest_again() {
    EXPECT_TRUE(victim_->reload());
    settle(*victim_);
    EXPECT_EQ(victim_->status(), Tab::Status::painted) << victim_->reason();
  }

  static constexpr Size window_{.width = 400, .height = 304};
  LoopbackServer server_;
  asio::io_context loop_{1};
  asio::thread_pool workers_{2};
  Browser browser_{loop_, workers_, {.window = window_, .resolve = server_.resolve()}};
  bool changed_ = false;
  std::vector<Tab*> tabs_;
  Tab* victim_ = nullptr;
  std::vector<std::vector<std::byte>> pictures_;
  std::vector<pid_t> honest_;
};

TEST_F(PortholeHostile, a_renderer_that_lies_is_ended_and_nothing_else_changes) {
  open_honest_tabs();
  for (const auto& [name, lie] : lies()) expect_ended(name);
  expect_honest_again();
}

TEST_F(PortholeHostile, a_renderer_that_sends_what_is_no_call_is_ended_and_nothing_else_changes) {
  open_honest_tabs();
  for (const auto& [name, forgery] : forgeries()) expect_ended(name);
  expect_honest_again();
}

TEST_F(PortholeHostile, a_renderer_that_asks_for_what_is_not_its_own_gets_a_refusal) {
  open_honest_tabs();
  for (const auto& [name, wish] : wishes()) {
    browser_.go(*victim_, "about:crash");  // so that the next page has a new process
    settle(*victim_);
    let_lie(name);
    EXPECT_EQ(victim_->status(), Tab::Status::painted) << victim_->reason();
    EXPECT_TRUE(victim_->title().contains(wish)) << victim_->title();
    EXPECT_FALSE(victim_->title().starts_with("loaded")) << victim_->title();
  }
}

}  // namespace
}  // namespace test
}  // namespace porthole

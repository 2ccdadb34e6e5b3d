// SPDX-License-Identifier: Apache-2.0
//
// Browser: owns everything that the browser process has: tabs, the other halves of its children, the
// loader, the bars, the bookmarks. Who runs it (headless.hpp) opens tabs, waits for changes and asks
// for pictures.
//
// Threads: the loop's. Blocking: never, apart from the profile's file when it starts.
// Peer death: each child's is its own half's; see there. Ownership: end() ends the children, and
// tells when the last has gone; a Browser that goes before kills what is left.
#pragma once

#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <bulkhead/process.hpp>
#include <bulkhead/result.hpp>

#include "browser/bookmarks.hpp"
#include "browser/chrome_layer.hpp"
#include "browser/gpu_process.hpp"
#include "browser/loader.hpp"
#include "browser/loops.hpp"
#include "browser/plugin_processes.hpp"
#include "browser/process_table.hpp"
#include "browser/roles.hpp"
#include "browser/services.hpp"
#include "browser/tab.hpp"

namespace porthole {

struct BrowserOptions {
  Size window{.width = 1280, .height = 800};
  bulkhead::Placement placement = bulkhead::Placement::process;
  CompositorChoice compositor = CompositorChoice::automatic;
  /// A page that does not answer for so long is ended; it stays busy unless given.
  std::optional<std::chrono::milliseconds> hang_timeout = {};
  /// "HOST:PORT:ADDRESS": see LoaderOptions.
  std::vector<std::string> resolve = {};
  /// The folder where bookmarks are kept; in memory alone when empty.
  std::filesystem::path profile = {};
};

class Browser {
 public:
  /// Both must outlive it.
  Browser(asio::io_context& loop, asio::thread_pool& workers, BrowserOptions options);
  Browser(const Browser&) = delete;
  Browser& operator=(const Browser&) = delete;
  ~Browser();

  /// Called in the loop, after anything about a tab has changed. One listener.
  void on_change(std::function<void(Tab&)> changed);

  /// What somebody typed: a URL, a file or a host.
  Tab& open(const std::string& input);
  void go(Tab& tab, const std::string& input);
  /// Null when there is none of that number.
  Tab* tab(TabId id);
  const std::vector<std::unique_ptr<Tab>>& tabs() const noexcept { return tabs_; }

  /// The window with that tab in front, as it is now.
  void capture(TabId tab, GpuProcess::Captured captured);
  /// The same into a PNG file, written by a worker.
  void screenshot(TabId tab, std::filesystem::path file,
                  std::function<void(bulkhead::Result<void>)> written);

  /// This process first.
  std::vector<ProcessRow> processes() const;

  /// Ends all children; `ended` once they have gone.
  void end(std::function<void()> ended);

 private:
  struct Shot {
    TabId tab{};
    GpuProcess::Captured captured;
  };

  LoaderOptions loader_options();
  void read_bookmarks();
  std::unique_ptr<Load> own_page(const std::string& url,
                                 std::function<void(bulkhead::Result<Loaded>)> done);
  void tab_changed(Tab& tab);
  void next_shot();
  bulkhead::Result<std::vector<Awaited>> set_scene(const Tab& tab);
  ChromeState chrome_state(const Tab& active) const;
  void report(const std::string& about, const std::string& reason) const;
  void sweep_plugins();

  asio::io_context& loop_;
  BrowserOptions options_;
  Loops loops_;
  Roles roles_;
  Numbers numbers_;
  Loader loader_;
  GpuProcess gpu_;
  PluginProcesses plugins_;
  Services services_;
  ChromeLayer chrome_;
  LayerId chrome_layer_;
  std::vector<std::string> bookmarks_;  ///< titles of the bar
  std::function<void(Tab&)> changed_;
  std::vector<std::unique_ptr<Tab>> tabs_;
  std::deque<Shot> shots_;  ///< the first is being taken
};

}  // namespace porthole

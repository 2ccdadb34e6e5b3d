// SPDX-License-Identifier: Apache-2.0
//
// Tab: what one tab shows, and how it gets from one page to the next. It has no pixels: a renderer
// has, or had; all that must survive a renderer (history, scrolling, why it ended) is here.
//
// STATE of a navigation
//   asking    the loader was asked; the old page stays
//   waiting   a response is here, its process was chosen and told (committed); the old page stays
//   shown     the renderer painted it; the old page is gone, and its process when it was another
//   complete  nothing is loading any more
//   asking  -> waiting   head and body arrived, or an error page takes their place
//   asking, waiting -> (dropped)   another navigation begins, or stop()
//   waiting -> shown -> complete   page_painted
//   any -> sad   its process ended: the tab says how until another navigation is shown
// A process is taken again for the same site lock, once it has given a sign of life since the
// navigation began: one that hangs, or is about to be gone, would take the new page with it. Else a
// new one is started.
//
// Threads: the loop's. Blocking: never. Peer death: the sad tab. Trust: what a renderer says has been
// checked by RendererProcess; where a link may lead is decided here.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "browser/loader.hpp"
#include "browser/renderer_process.hpp"
#include "browser/services.hpp"
#include "browser/session_history.hpp"
#include "browser/url.hpp"
#include "interfaces/types.hpp"

namespace porthole {

class Tab final : private RendererClient {
 public:
  enum class Status : std::uint8_t {
    empty,    ///< nothing was asked for
    loading,  ///< and not all of it is painted
    painted,  ///< all of what was asked for
    failed,   ///< an error page is painted, or the server's own
    sad,      ///< the page's process has ended
  };

  /// `changed` is called in the loop, after anything that can be seen from outside has changed.
  Tab(TabId id, Services& services, Size viewport, std::function<void(Tab&)> changed);
  Tab(const Tab&) = delete;
  Tab& operator=(const Tab&) = delete;
  ~Tab();

  void go(const Url& url);
  /// An address that is none: the reason becomes an error page.
  void go_nowhere(const std::string& address, const std::string& reason);
  /// False when there is nothing to load again, to go back or forward to.
  bool reload();
  bool back();
  bool forward();
  void stop();
  void scroll_to(Point offset);
  /// Ends the page's process; false when there is none.
  bool end(const std::string& why);

  TabId id() const noexcept { return id_; }
  Status status() const noexcept;
  /// The page's process has not answered for two seconds.
  bool busy() const;
  /// How long its slowest process has not answered.
  std::chrono::milliseconds silence() const;
  /// Why it is sad, or what failed: one sentence; empty otherwise.
  std::string reason() const;
  /// Why the page has gone, until another one is shown; empty otherwise.
  const std::string& sad() const noexcept { return sad_; }
  /// What the address bar shows.
  std::string url() const;
  const std::string& title() const noexcept { return title_; }
  const SessionHistory& history() const noexcept { return history_; }
  /// What is to be composed; nothing for a tab that is sad or was never painted.
  const RendererProcess* page() const noexcept;
  /// Calls `see` for each process that it has: the page's, and that of the one to come.
  void each_process(const std::function<void(const RendererProcess&)>& see) const;

 private:
  enum class Kind : std::uint8_t { fresh, reload, history };
  struct Navigation {
    NavigationId id{};
    Kind kind = Kind::fresh;
    std::string address;           ///< what was asked for
    std::string url;               ///< what is shown for it
    std::optional<Url> committed;  ///< what its process was told
    std::size_t entry = 0;         ///< of the history, unless fresh
    Point scroll{};
    std::string failure;  ///< why this is not what was asked for
    int reports = 0;      ///< of things that people should know
    bool complete = false;
    std::uint64_t proof = 0;  ///< that the page's process lives: asked when this began
    std::unique_ptr<Load> load;
    std::optional<Commit> held;  ///< until there is proof
    std::shared_ptr<RendererProcess> renderer;
  };

  void start_navigation(Kind kind, const std::string& address, std::size_t entry, Point scroll);
  bool begin(Kind kind, std::string address, std::size_t entry, Point scroll);
  bool travel(int steps);
  void ask(const Url& url);
  Decision head_came(const ResourceHead& head);
  void response_came(bulkhead::Result<Loaded> loaded);
  void show_error(const std::string& reason);
  void fail_without_page(const std::string& reason);
  void remember(const Navigation& navigation);
  void commit(const Url& url, Commit commit);
  void commit_held();
  bool may_take_over(const Url& url) const;
  void drop_pending();
  void retire(std::shared_ptr<RendererProcess>& renderer);

  void page_parsed(RendererProcess& from, NavigationId navigation, std::string title) override;
  void page_painted(RendererProcess& from, NavigationId navigation, std::uint64_t frame,
                    Size content, bool complete) override;
  void link_followed(RendererProcess& from, std::string url) override;
  void page_reported(NavigationId navigation, std::string text) override;
  void renderer_answered(RendererProcess& from) override;
  void renderer_busy(RendererProcess& from, bool busy) override;
  void renderer_gone(RendererProcess& from, const std::string& how) override;

  TabId id_;
  Services& services_;
  Size viewport_;
  std::function<void(Tab&)> changed_;
  SessionHistory history_;
  std::optional<Navigation> pending_;
  std::optional<Navigation> shown_;
  std::string sad_;  ///< why, or empty
  std::string title_;
};

}  // namespace porthole

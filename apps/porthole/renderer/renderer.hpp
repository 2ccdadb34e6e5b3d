// SPDX-License-Identifier: Apache-2.0
//
// Renderer: serves Frame. Holds the one page that this process shows, gets what it refers to, and
// has the viewport painted whenever something has changed.
//
// Threads and blocking: everything runs in one event loop; only the engine's own work takes time.
// Order of things: open, wait a moment for style sheets, parse (did_commit), layout, paint
// (did_paint), and again from layout as pictures come, until nothing is loading (`complete`).
// TRUST: the browser is trusted. Bodies are a stranger's, and go to the engine or to a plugin.
#pragma once

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include <bulkhead/channel.hpp>
#include <bulkhead/service.hpp>

#include "interfaces/frame.hpp"
#include "renderer/layer.hpp"
#include "renderer/page_engine.hpp"
#include "renderer/plugin_client.hpp"
#include "renderer/resource_client.hpp"

namespace porthole {

class Renderer final : private Resources {
 public:
  Renderer(asio::io_context& loop, bulkhead::Channel& browser, bulkhead::Channel resources,
           bulkhead::Channel plugins);

  /// Loads fonts before a page needs them.
  void warm_up();

  // Frame
  void commit(Commit commit);
  void stop(NavigationId navigation);
  void resize(Size viewport);
  void scroll_to(Point offset);
  void click(Point at);
  void ping(std::uint64_t token);
  void attach_layer(bulkhead::Channel gpu);

 private:
  // Resources
  void want_style_sheet(const std::string& url) override;
  void want_picture(const std::string& url) override;

  void open(std::string html);
  void open_through_plugin(const Commit& commit);
  void fetch_pictures();
  void decode(const std::string& url, const std::string& mime_type, bulkhead::Region body);
  void picture_came(const std::string& url, Plugins::Outcome outcome);
  void no_picture(const std::string& url, const std::string& reason);
  void redo(Redo what);
  void work();
  void parse();
  void layout();
  void show();
  void paint_around();
  void tell_painted(bool complete);
  void tell_if_complete();
  bool is_loading() const;
  Rect visible() const;
  Rect around() const;
  void report(std::string_view url, std::string_view reason);

  asio::io_context& loop_;
  bulkhead::Remote<FrameHost> host_;
  Fetcher fetcher_;
  Plugins plugins_;
  Layer layer_;
  std::unique_ptr<PageEngine> engine_;
  asio::steady_timer style_timer_;
  asio::steady_timer work_timer_;

  Size viewport_{};
  NavigationId navigation_{};
  std::string url_;
  /// The document itself, when it is a picture.
  std::optional<Resource> document_picture_;
  Point wanted_scroll_{};
  Point scroll_{};
  /// Asked for by the page and not by us yet: so many at a time are under way.
  std::deque<std::string> wanted_pictures_;
  std::size_t busy_pictures_ = 0;
  std::int64_t picture_bytes_ = 0;
  int mapped_pictures_ = 0;
  int reports_ = 0;
  std::chrono::nanoseconds layout_time_{};
  Redo pending_ = Redo::nothing;
  bool has_page_ = false;
  bool is_parsed_ = false;
  bool is_shown_ = false;
  bool is_work_scheduled_ = false;
  bool waits_for_slots_ = false;
  bool is_around_scheduled_ = false;
  bool seeks_anchor_ = false;
  bool told_complete_ = false;
};

}  // namespace porthole

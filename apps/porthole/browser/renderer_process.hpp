// SPDX-License-Identifier: Apache-2.0
//
// RendererProcess: the browser's side of one renderer: the process, its four channels, the site that
// it is locked to, and everything that it may say.
//
// STATE
//   starting -> running   the process runs; what was asked of it meanwhile goes out now
//   any -> gone           it died, or end(): the client is told how, once
// Its pages: a commit replaces the one before. A process that shows about: pages alone takes the
// lock of the first other site that is committed to it, and keeps it for good.
//
// Threads: the loop's. Blocking: never: all calls are one-way and queued, and what is told while
// the process starts is kept. Ownership: shared with the handlers that serve; abandon() when nobody
// wants it any more. Peer death: `gone`. The gpu process's death: attached again, without a word.
// Trust: none. RendererClaims judges each message; a lie ends the process, and the sad tab names it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <bulkhead/channel.hpp>
#include <bulkhead/service.hpp>

#include "browser/child_process.hpp"
#include "browser/hang_watch.hpp"
#include "browser/plugin_desk.hpp"
#include "browser/renderer_claims.hpp"
#include "browser/resource_desk.hpp"
#include "browser/services.hpp"
#include "browser/site.hpp"
#include "browser/url.hpp"
#include "interfaces/frame.hpp"

namespace porthole {

class RendererProcess;

/// Who shows the pages of a renderer: its tab. What it hears is about the last commit and has been
/// checked.
class RendererClient {
 public:
  virtual void page_parsed(RendererProcess& from, NavigationId navigation, std::string title) = 0;
  virtual void page_painted(RendererProcess& from, NavigationId navigation, std::uint64_t frame,
                            Size content, bool complete) = 0;
  virtual void link_followed(RendererProcess& from, std::string url) = 0;
  virtual void page_reported(NavigationId navigation, std::string text) = 0;
  virtual void renderer_answered(RendererProcess& from) = 0;
  virtual void renderer_busy(RendererProcess& from, bool busy) = 0;
  virtual void renderer_gone(RendererProcess& from, const std::string& how) = 0;

 protected:
  ~RendererClient() = default;
};

class RendererProcess : public std::enable_shared_from_this<RendererProcess> {
 public:
  /// `client` hears from it until abandon(); both references outlive that.
  static std::shared_ptr<RendererProcess> start(Services& services, RendererClient& client,
                                                Site site, Size viewport);

  void commit(const Url& url, Commit commit);
  void stop(NavigationId navigation);
  void resize(Size viewport);
  void scroll_to(Point offset);
  void click(Point at);
  /// Asks for a sign of life. REQUIRES: it has painted.
  std::uint64_t ask_now() { return watch_.ask_now(); }
  /// It gave one since that was asked.
  bool answered(std::uint64_t asked) const noexcept { return answered_ >= asked; }
  /// Kills it; the client hears `how`.
  void end(std::string how);
  /// Kills it, and nobody hears.
  void abandon();

  const Site& site() const noexcept { return site_; }
  LayerId layer() const noexcept { return layer_; }
  /// The latest that was painted; 0 before any.
  std::uint64_t frame() const noexcept { return frame_; }
  bool busy() const noexcept { return watch_.busy(); }
  /// How long it has not answered.
  std::chrono::milliseconds silence() const { return watch_.silence(); }
  bool gone() const noexcept { return gone_; }
  /// It can be given another page. One that still starts can.
  bool alive() const {
    return !gone_ && (child_->state() == ChildProcess::State::starting || child_->alive());
  }
  const ChildProcess& process() const noexcept { return *child_; }

 private:
  class Host;

  RendererProcess(Services& services, RendererClient& client, Site site, Size viewport);
  void launch();
  void started();
  void attach(bulkhead::Channel layer);
  void send_what_waits();
  void lied(const std::string& what);
  void died(const std::string& how);
  void close();

  Services& services_;
  RendererClient* client_;
  Site site_;
  Size viewport_;
  LayerId layer_;
  std::shared_ptr<ChildProcess> child_;
  std::optional<bulkhead::Remote<Frame>> page_;
  std::shared_ptr<ResourceDesk> resources_;
  std::shared_ptr<PluginDesk> plugins_;
  HangWatch watch_;
  RendererClaims claims_;
  std::optional<Url> url_;         ///< of the last commit
  std::optional<Commit> waiting_;  ///< until the process runs and has a layer
  std::optional<bulkhead::Channel> layer_waiting_;
  bool attached_ = false;
  std::uint64_t frame_ = 0;
  std::uint64_t answered_ = 0;
  bool gone_ = false;
};

}  // namespace porthole

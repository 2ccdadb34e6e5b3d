// SPDX-License-Identifier: Apache-2.0
//
// Frame and FrameHost: what the browser process tells a renderer to show, and what the renderer
// reports. One channel, the renderer's main one: the renderer serves Frame, the browser FrameHost.
//
// Trust: the renderer trusts the browser. The browser trusts nothing here: it knows itself which
// navigation it committed to whom, and a report about another one ends the renderer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <bulkhead/channel.hpp>
#include <bulkhead/interface.hpp>
#include <bulkhead/region.hpp>

#include "interfaces/types.hpp"

namespace porthole {

/// A navigation that the browser has decided: the response is here, this renderer shows it.
struct Commit {
  NavigationId navigation{};
  /// After redirects. "about:crash", "about:hang" and "about:oom" do what they say.
  std::string url;
  /// Lower case, without parameters: "text/html".
  std::string mime_type;
  /// From the response head; empty when it does not say.
  std::string charset;
  /// The whole body, frozen; nothing when it is empty.
  std::optional<bulkhead::Region> body;
  /// Where to begin: history and reload keep it.
  Point scroll{};
};

struct Frame {
  void commit(Commit commit);
  /// Stops loading what the page still waits for; what is there stays.
  void stop(NavigationId navigation);
  /// The viewport's size. Comes before the first commit.
  void resize(Size viewport);
  void scroll_to(Point offset);
  /// A click at a point of the page (not of the viewport).
  void click(Point at);
  /// To be answered by FrameHost::pong at once: how the browser finds a renderer that hangs.
  void ping(std::uint64_t token);
  /// Where to submit pixels to: the producer's end of a channel to the gpu process, as LayerSink.
  /// Again when the gpu process was started anew: submit everything once more, paint nothing anew.
  void attach_layer(bulkhead::Channel gpu);
};
BULKHEAD_INTERFACE(Frame, commit, stop, resize, scroll_to, click, ping, attach_layer)

struct FrameHost {
  /// The page was parsed, and the old one is gone from this process.
  void did_commit(NavigationId navigation, std::string title);
  /// What the viewport shows was submitted, as this frame of the layer. `complete` when nothing is
  /// loading any more; before that there may be any number of calls.
  void did_paint(NavigationId navigation, std::uint64_t frame, Size content, bool complete);
  /// A link was followed. The browser decides what becomes of it.
  void began_navigation(std::string url);
  /// Something for people: a picture that is broken, a font that is missing. One line.
  void report(NavigationId navigation, std::string text);
  void pong(std::uint64_t token);
};
BULKHEAD_INTERFACE(FrameHost, did_commit, did_paint, began_navigation, report, pong)

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
//
// PluginBroker, PluginUser and Plugin: content that a renderer does not decode itself. PluginHost
// and PluginHostClient: the browser and a plugin process, on its main channel.
//
// The renderer asks the browser for a plugin that handles a MIME type (channel "plugins": the
// browser serves PluginBroker, the renderer PluginUser). The browser starts the plugin process for
// that site when there is none and makes a channel between the two; from then on the renderer
// calls Plugin directly, with deadlines. A plugin that dies or hangs costs its renderer a
// placeholder.
//
// A plugin process draws one document at a time: while it is busy, ping waits.
//
// Trust: the plugin process trusts the browser. Neither of renderer and plugin trusts the other. Regions are frozen before they cross.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/interface.hpp>
#include <bulkhead/region.hpp>
#include <bulkhead/result.hpp>

#include "interfaces/types.hpp"

namespace porthole {

struct PluginBroker {
  /// Answered by PluginUser::granted or refused with the same id. After a plugin's death: once
  /// more, which starts a new one.
  void acquire(RequestId id, std::string mime_type);
};
BULKHEAD_INTERFACE(PluginBroker, acquire)

struct PluginUser {
  /// The user's end of a channel to a process that serves Plugin.
  void granted(RequestId id, std::string mime_type, bulkhead::Channel plugin);
  /// One line for people.
  void refused(RequestId id, std::string reason);
};
BULKHEAD_INTERFACE(PluginUser, granted, refused)

struct PluginInput {
  std::string mime_type;
  /// The whole document, frozen.
  bulkhead::Region bytes;
  /// The size that a picture without one of its own (SVG) is drawn at; 0: its own choice.
  Size wanted{};
};

struct PluginOutput {
  /// A picture: rows of `size.width` pixels without gaps, frozen. Of animations the first frame.
  std::optional<bulkhead::Region> pixels;
  Size size{};
  /// A document turned into HTML; empty for pictures.
  std::string html;
};

struct Plugin {
  /// Errors: `invalid` when the content is damaged, `too_large`, `unsupported`. A crash is the
  /// call's `peer_died`.
  bulkhead::Result<PluginOutput> render(PluginInput input);
};
BULKHEAD_INTERFACE(Plugin, render)

struct PluginHost {
  /// The plugin's end of a channel to a user, who calls Plugin over it. Any number of them.
  void attach(bulkhead::Channel user);
  /// Answered by PluginHostClient::pong: how a plugin that hangs is found.
  void ping(std::uint64_t token);
};
BULKHEAD_INTERFACE(PluginHost, attach, ping)

struct PluginHostClient {
  /// The shared object was loaded, and the second stage of the sandbox is in force, as told.
  void loaded(std::string name, std::vector<std::string> mime_types, std::string sandbox);
  /// It was not, or it cannot go on (memory): the process is to be ended. One line for people.
  void failed(std::string reason);
  void pong(std::uint64_t token);
};
BULKHEAD_INTERFACE(PluginHostClient, loaded, failed, pong)

}  // namespace porthole

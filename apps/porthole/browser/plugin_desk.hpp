// SPDX-License-Identifier: Apache-2.0
//
// PluginDesk: serves PluginBroker to one renderer process: a plugin for a MIME type is asked for
// here, and a channel to one comes back.
//
// Threads: the loop's. Ownership: shared with the handler that serves; close() ends it.
// Peer death: close(). Blocking: never. Trust: a number used twice, or a MIME type that is none, is
// told to `bad`.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_set>

#include <bulkhead/channel.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/service.hpp>

#include "browser/plugin_processes.hpp"
#include "interfaces/plugin.hpp"

namespace asio {
class io_context;
}

namespace porthole {

class PluginDesk : public std::enable_shared_from_this<PluginDesk> {
 public:
  using Granted = PluginProcesses::Granted;
  struct Events {
    /// Finds or starts a plugin for this renderer's site; `again` when it had been given one.
    std::function<void(const std::string& mime_type, PluginProcesses::Asked asked, Granted granted)>
        acquire;
    std::function<void(const std::string& what)> bad;
  };

  static std::shared_ptr<PluginDesk> open(asio::io_context& loop, bulkhead::Channel channel,
                                          Events events);
  void close();

  // PluginBroker
  void acquire(RequestId id, std::string mime_type);

 private:
  PluginDesk(asio::io_context& loop, bulkhead::Channel channel, Events events);
  void serve();
  void bad(const std::string& what);
  void answer(RequestId id, const std::string& mime_type,
              bulkhead::Result<bulkhead::Channel> plugin);

  asio::io_context& loop_;
  bulkhead::Channel channel_;
  bulkhead::Remote<PluginUser> user_;
  Events events_;
  std::unordered_set<std::uint64_t> asked_;
  std::unordered_set<std::string> granted_;  ///< MIME types
};

}  // namespace porthole

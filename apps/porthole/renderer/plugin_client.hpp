// SPDX-License-Identifier: Apache-2.0
//
// Plugins: has content rendered by plugin processes that the browser grants. One channel for each
// MIME type, used for everything of that type; one call at a time on each.
//
// Blocking: never; each call has a deadline. Peer death: the call is tried once more with a new
// plugin, silently; then it fails with the reason. A plugin that does not answer is not asked
// again by this page, as the next call would wait as long.
// TRUST: what a plugin returns is checked here against the limits of interfaces/types.hpp.
#pragma once

#include <asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <bulkhead/channel.hpp>
#include <bulkhead/region.hpp>
#include <bulkhead/service.hpp>

#include "interfaces/plugin.hpp"

namespace porthole {

class Plugins {
 public:
  /// What came of it, or one sentence for people.
  using Outcome = std::expected<PluginOutput, std::string>;
  using Then = std::function<void(Outcome)>;

  /// `patience`: how long a plugin may take for one piece of content.
  Plugins(asio::io_context& loop, bulkhead::Channel browser,
          std::chrono::milliseconds patience = std::chrono::seconds(5));

  /// `content` is frozen. `then` is called once, in the loop.
  void render(const std::string& mime_type, bulkhead::Region content, Then then);
  /// Forgets all that is under way, and what it knows of plugins that do not answer.
  void reset();
  std::size_t under_way() const noexcept;

  // PluginUser
  void granted(RequestId id, std::string mime_type, bulkhead::Channel plugin);
  void refused(RequestId id, std::string reason);

 private:
  struct Job {
    bulkhead::Region content;
    Then then;
    int deaths = 0;
  };
  struct Connection {
    explicit Connection(bulkhead::Channel plugin) : channel(std::move(plugin)) {}
    bulkhead::Channel channel;
    bulkhead::Remote<Plugin> remote{channel};
  };
  /// Everything of one MIME type.
  struct Lane {
    std::string mime_type;
    std::deque<Job> jobs;
    std::shared_ptr<Connection> connection;
    std::optional<RequestId> asked;
    bool is_calling = false;
    int deaths = 0;
    /// Not empty: why this page asks it for nothing any more.
    std::string given_up;
  };

  void go_on(const std::shared_ptr<Lane>& lane);
  void call(const std::shared_ptr<Lane>& lane);
  void answered(const std::shared_ptr<Lane>& lane, bulkhead::Result<PluginOutput> output);
  void finish_first(const std::shared_ptr<Lane>& lane, Outcome outcome);
  void fail_all(const std::shared_ptr<Lane>& lane, const std::string& reason);
  std::shared_ptr<Lane> lane_that_asked(RequestId id);

  asio::io_context& loop_;
  std::chrono::milliseconds patience_;
  bulkhead::Channel channel_;
  bulkhead::Remote<PluginBroker> broker_{channel_};
  std::map<std::string, std::shared_ptr<Lane>> lanes_;
  std::uint64_t last_id_ = 0;
};

/// Nothing when the output keeps the rules; else what is wrong with it.
std::string fault_of(const PluginOutput& output);

}  // namespace porthole

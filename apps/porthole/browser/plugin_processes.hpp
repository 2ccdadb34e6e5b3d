// SPDX-License-Identifier: Apache-2.0
//
// PluginProcesses: the plugin processes of all sites, one for each site and plugin, started when a
// page of the site first needs it and kept while a tab shows the site.
//
// STATE of one: starting -> loaded (it said so: those who wait get their channels) -> gone. Who
// waits for one that goes waits for another one, once, and is refused then with the reason; the next
// acquire() starts another, unless they die faster than makes sense.
//
// Threads: the loop's. Blocking: never. Peer death: users see the end of their channel to it.
// Trust: none; a pong that nobody asked for, or a second `loaded`, ends it.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/result.hpp>

#include "browser/child_process.hpp"
#include "browser/loops.hpp"
#include "browser/roles.hpp"
#include "browser/site.hpp"

namespace porthole {

class PluginProcess;
struct PluginKind;

class PluginProcesses {
 public:
  using Granted = std::function<void(bulkhead::Result<bulkhead::Channel>)>;
  enum class Asked : std::uint8_t {
    first,
    again,  ///< this user's channel to it has ended
  };
  using Report = std::function<void(const std::string& about, const std::string& reason)>;

  PluginProcesses(Loops& loops, const Roles& roles, Report report);
  PluginProcesses(const PluginProcesses&) = delete;
  PluginProcesses& operator=(const PluginProcesses&) = delete;
  ~PluginProcesses();

  /// Is there a plugin for this type? It need not be running.
  bool handles(const std::string& mime_type) const;
  /// A user's end of a channel to the plugin process for this type and site; once, not before this
  /// returns unless it is refused.
  void acquire(const Site& site, const std::string& mime_type, Asked asked, Granted granted);
  /// Ends those of other sites.
  void keep_only(const std::set<std::string>& sites);
  /// Calls `see` for each that runs.
  void each(const std::function<void(const PluginProcess&)>& see) const;
  void end();

 private:
  using Key = std::pair<std::string, std::string>;  // site, plugin
  using Clock = std::chrono::steady_clock;

  Granted retried(const Key& key, const PluginKind& kind, Granted granted);
  bulkhead::Result<PluginProcess*> find(const Key& key, const PluginKind& kind);
  bulkhead::Result<void> start(const Key& key, const PluginKind& kind);
  bool dies_too_often(const Key& key);
  void gone(const Key& key, const PluginProcess& process, const std::string& how);

  Loops& loops_;
  const Roles& roles_;
  Report report_;
  bool ended_ = false;
  std::map<Key, std::shared_ptr<PluginProcess>> running_;
  /// Dead and replaced, but the word of it has not come yet: those who wait at them hear it then.
  std::vector<std::shared_ptr<PluginProcess>> replaced_;
  std::map<Key, std::deque<Clock::time_point>> deaths_;
};

}  // namespace porthole

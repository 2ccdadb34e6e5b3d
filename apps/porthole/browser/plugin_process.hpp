// SPDX-License-Identifier: Apache-2.0
//
// PluginProcess: the browser's side of one plugin process. See plugin_processes.hpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/service.hpp>

#include "browser/child_process.hpp"
#include "browser/hang_watch.hpp"
#include "browser/loops.hpp"
#include "browser/roles.hpp"
#include "interfaces/plugin.hpp"
#include "plugin/registry.hpp"

namespace porthole {

class PluginProcess : public std::enable_shared_from_this<PluginProcess> {
 public:
  using Granted = std::function<void(bulkhead::Result<bulkhead::Channel>)>;
  using Gone = std::function<void(const PluginProcess&, const std::string& how)>;

  /// The plugin that lies in `file`, for `site`.
  static std::shared_ptr<PluginProcess> start(Loops& loops, const Roles& roles,
                                              const PluginKind& kind,
                                              const std::filesystem::path& file, std::string site,
                                              Gone gone);

  /// A user's end of a channel to it, as soon as it has loaded the plugin.
  void grant(Granted granted);
  /// The same for a user whose channel to it has ended: once it has answered. A process that is
  /// about to be gone loses its channels first.
  void grant_when_answered(Granted granted);
  /// Kills it; `gone` hears why, and so do those who wait: `peer_died`.
  void end(std::string why);
  /// The same without telling `gone`; those who wait: `cancelled`.
  void abandon();

  const std::string& name() const noexcept { return name_; }
  const std::string& site() const noexcept { return site_; }
  const ChildProcess& process() const noexcept { return *child_; }
  bool gone() const noexcept { return gone_; }
  /// It can be asked for a grant.
  bool alive() const {
    return !gone_ && (child_->state() == ChildProcess::State::starting || child_->alive());
  }

 private:
  class Host;

  PluginProcess(Loops& loops, const Roles& roles, std::string name, std::string site, Gone gone);
  void launch(const PluginKind& kind, const std::filesystem::path& file);
  void started();
  void answered(std::uint64_t token);
  void connect(const Granted& granted);
  void died(const std::string& how);
  void close(bulkhead::ErrorKind kind, const std::string& why);

  Loops& loops_;
  const Roles& roles_;
  std::string name_;
  std::string site_;
  Gone told_;
  std::shared_ptr<ChildProcess> child_;
  std::optional<bulkhead::Remote<PluginHost>> host_;
  HangWatch watch_;
  bool loaded_ = false;
  bool gone_ = false;
  std::vector<Granted> waiting_;  ///< until it is loaded
  std::vector<std::pair<std::uint64_t, Granted>> unanswered_;
};

}  // namespace porthole

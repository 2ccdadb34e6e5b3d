// SPDX-License-Identifier: Apache-2.0
#include "browser/plugin_processes.hpp"

#include "browser/plugin_process.hpp"
#include "plugin/registry.hpp"

namespace porthole {
namespace {

using bulkhead::Channel;
using bulkhead::ErrorKind;
using bulkhead::Result;

// A page may have many pictures that break a plugin, but not that many.
constexpr std::size_t most_deaths = 32;
constexpr std::chrono::seconds death_window{60};

Result<Channel> refusal(ErrorKind kind, const std::string& mime_type, std::string cause) {
  return bulkhead::fail(kind,
                        {.operation = "show", .object = mime_type, .cause = std::move(cause)});
}

}  // namespace

PluginProcesses::PluginProcesses(Loops& loops, const Roles& roles, Report report)
    : loops_(loops), roles_(roles), report_(std::move(report)) {}

PluginProcesses::~PluginProcesses() { end(); }

bool PluginProcesses::handles(const std::string& mime_type) const {
  return plugin_for(mime_type) != nullptr;
}

void PluginProcesses::acquire(const Site& site, const std::string& mime_type, Asked asked,
                              Granted granted) {
  const PluginKind* kind = plugin_for(mime_type);
  if (!kind) {
    return granted(refusal(ErrorKind::unsupported, mime_type, "there is no plugin for it"));
  }
  const Key key{site.name, kind->name};
  const auto process = find(key, *kind);
  if (!process) {
    return granted(refusal(process.error().kind(), mime_type, process.error().sentence()));
  }
  if (asked == Asked::first) return (*process)->grant(retried(key, *kind, std::move(granted)));
  (*process)->grant_when_answered(retried(key, *kind, std::move(granted)));
}

// Who waits when it dies is not to blame, and gets the next one.
PluginProcesses::Granted PluginProcesses::retried(const Key& key, const PluginKind& kind,
                                                  Granted granted) {
  return [this, key, &kind, granted = std::move(granted)](Result<Channel> channel) {
    if (channel || channel.error() != ErrorKind::peer_died || ended_) {
      return granted(std::move(channel));
    }
    const auto next = find(key, kind);
    if (!next) return granted(bulkhead::fail(next.error()));
    (*next)->grant(granted);
  };
}

Result<PluginProcess*> PluginProcesses::find(const Key& key, const PluginKind& kind) {
  const auto known = running_.find(key);
  if (known == running_.end() || !known->second->alive()) BULKHEAD_TRY(start(key, kind));
  return running_.find(key)->second.get();
}

Result<void> PluginProcesses::start(const Key& key, const PluginKind& kind) {
  if (dies_too_often(key)) {
    return bulkhead::fail(
        ErrorKind::exhausted,
        {.operation = "start a plugin",
         .object = key.second,
         .cause = "it has ended " + std::to_string(most_deaths) + " times within a minute"});
  }
  const auto file = BULKHEAD_TRY(plugin_file(kind));
  auto& place = running_[key];
  if (place && !place->gone()) replaced_.push_back(std::move(place));
  place = PluginProcess::start(
      loops_, roles_, kind, file, key.first,
      [this, key](const PluginProcess& ended, const std::string& how) { gone(key, ended, how); });
  return {};
}

bool PluginProcesses::dies_too_often(const Key& key) {
  auto& deaths = deaths_[key];
  while (!deaths.empty() && Clock::now() - deaths.front() > death_window) deaths.pop_front();
  return deaths.size() >= most_deaths;
}

void PluginProcesses::gone(const Key& key, const PluginProcess& process, const std::string& how) {
  deaths_[key].push_back(Clock::now());
  report_(key.first, "the " + key.second + " plugin (pid " +
                         std::to_string(process.process().pid()) + ") ended: " + how);
  std::erase_if(replaced_, [&](const auto& other) { return other.get() == &process; });
  // Another may have taken its place between its end and this word of it.
  const auto known = running_.find(key);
  if (known != running_.end() && known->second.get() == &process) running_.erase(known);
}

void PluginProcesses::keep_only(const std::set<std::string>& sites) {
  std::erase_if(running_, [&](const auto& entry) {
    if (sites.contains(entry.first.first)) return false;
    entry.second->abandon();
    return true;
  });
}

void PluginProcesses::each(const std::function<void(const PluginProcess&)>& see) const {
  for (const auto& [key, process] : running_) {
    if (!process->gone() && process->process().running()) see(*process);
  }
}

void PluginProcesses::end() {
  ended_ = true;
  for (const auto& [key, process] : running_) process->abandon();
  for (const auto& process : replaced_) process->abandon();
  running_.clear();
  replaced_.clear();
}

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
//
// For tests: a real plugin process in its sandbox (or a thread), as the browser starts one, and a
// channel to it as a renderer has one.
#pragma once

#include <chrono>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <bulkhead/process.hpp>
#include <bulkhead/service.hpp>

#include "interfaces/plugin.hpp"
#include "plugin/main.hpp"
#include "plugin/registry.hpp"
#include "plugin/sandbox.hpp"

namespace porthole {

/// A frozen copy, as the browser hands out bodies.
inline bulkhead::Region frozen(std::string_view content) {
  auto region = bulkhead::or_throw(bulkhead::Region::create(content.size()));
  std::ranges::copy(bulkhead::as_bytes(content), region.mutable_bytes().begin());
  bulkhead::or_throw(region.freeze());
  return region;
}

class RunningPlugin {
 public:
  struct Told {
    std::string name{};
    std::vector<std::string> mime_types{};
    std::string sandbox{};
    std::string failure{};
  };

  /// `file` instead of the kind's own; `environment` beside what a sandboxed child has.
  explicit RunningPlugin(const PluginKind& kind, std::string file = {},
                         std::vector<std::string> environment = {},
                         bulkhead::Placement placement = bulkhead::Placement::process) {
    if (file.empty()) file = bulkhead::or_throw(plugin_file(kind)).string();
    bulkhead::SpawnOptions options{.arguments = bulkhead::arguments(std::string(), file)};
    options.placement = placement;
    options.trust = bulkhead::Trust::untrusted;
    if (placement == bulkhead::Placement::process) {
      options.sandbox = plugin_sandbox(kind, file);
      options.environment = std::move(environment);
    }
    process_ = bulkhead::or_throw(bulkhead::spawn<plugin_main>(std::move(options)));
    listener_ = std::thread{[this] {
      static_cast<void>(bulkhead::serve<PluginHostClient>(process_->channel(), client_));
      client_.tell({.failure = "the process ended"});
    }};
  }
  ~RunningPlugin() {
    static_cast<void>(process_->terminate());
    listener_.join();
  }
  RunningPlugin(const RunningPlugin&) = delete;
  RunningPlugin& operator=(const RunningPlugin&) = delete;

  /// What it said after loading; waits for that. Once.
  Told told() { return client_.told.get_future().get(); }

  /// A renderer's view of it.
  bulkhead::Remote<Plugin> attach() {
    bulkhead::ChannelOptions options{.trust = bulkhead::Trust::untrusted};
    const bool thread = process_->pid() == ::getpid();
    auto ends = bulkhead::or_throw(
        bulkhead::pair(thread ? bulkhead::Mechanism::inproc : bulkhead::Mechanism::shm, options));
    const bulkhead::Remote<PluginHost> host{process_->channel()};
    bulkhead::or_throw(host.attach(std::move(ends.second)));
    return bulkhead::Remote<Plugin>{std::move(ends.first), {.deadline = std::chrono::seconds(60)}};
  }

  bulkhead::Result<PluginOutput> render(const std::string& mime_type, std::string_view content,
                                        Size wanted = {}) {
    if (!user_) user_ = attach();
    return user_->render({.mime_type = mime_type, .bytes = frozen(content), .wanted = wanted});
  }

  bulkhead::Exit exit() { return bulkhead::or_throw(process_->wait(std::chrono::seconds(60))); }
  bulkhead::Process& process() { return *process_; }
  /// Why it cannot go on, once it was loaded. Once.
  std::string why_it_gave_up() { return client_.gave_up.get_future().get(); }
  std::uint64_t pong() {
    const bulkhead::Remote<PluginHost> host{process_->channel()};
    bulkhead::or_throw(host.ping(42));
    return client_.ponged.get_future().get();
  }

 private:
  struct Client {
    std::promise<Told> told{};
    std::promise<std::uint64_t> ponged{};
    std::promise<std::string> gave_up{};
    bool answered = false;

    void loaded(std::string name, std::vector<std::string> types, std::string sandbox) {
      tell(
          {.name = std::move(name), .mime_types = std::move(types), .sandbox = std::move(sandbox)});
    }
    void failed(std::string reason) {
      if (answered) return gave_up.set_value(std::move(reason));
      tell({.failure = std::move(reason)});
    }
    void pong(std::uint64_t token) { ponged.set_value(token); }
    void tell(Told what) {
      if (!std::exchange(answered, true)) told.set_value(std::move(what));
    }
  };

  std::optional<bulkhead::Process> process_;
  Client client_;
  std::thread listener_;
  std::optional<bulkhead::Remote<Plugin>> user_;
};

}  // namespace porthole

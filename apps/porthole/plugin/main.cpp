// SPDX-License-Identifier: Apache-2.0
#include "plugin/main.hpp"

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <functional>
#include <list>
#include <utility>

#include <bulkhead/asio.hpp>
#include <bulkhead/service.hpp>

#include "common/self_test.hpp"
#include "interfaces/plugin.hpp"
#include "plugin/loaded_plugin.hpp"
#include "plugin/registry.hpp"
#include "plugin/sandbox.hpp"

namespace porthole {
namespace {

using bulkhead::Bootstrap;
using bulkhead::Channel;
using bulkhead::ErrorKind;
using bulkhead::fail;
using bulkhead::Region;
using bulkhead::Remote;
using bulkhead::Result;

/// Serves Plugin to every user.
struct Renderer {
  const LoadedPlugin& plugin;
  std::function<void()> when_exhausted;

  Result<PluginOutput> render(const PluginInput& input) const {
    // TRUST: bytes that change while a decoder reads them are a way into it.
    if (input.bytes.state() != Region::State::frozen) {
      return fail(ErrorKind::invalid, {.cause = "the document is not frozen"});
    }
    auto output = plugin.render(input.mime_type, input.bytes.bytes(), input.wanted);
    if (!output && output.error() == ErrorKind::exhausted) when_exhausted();
    return output;
  }
};

/// Serves PluginHost to the browser, and Plugin to its users, on one thread.
class Service {
 public:
  Service(Bootstrap& boot, const LoadedPlugin& plugin)
      : boot_(boot), renderer_{plugin, [this] { give_up(); }}, client_(boot.channel()) {}

  void run() {
    const auto& plugin = renderer_.plugin;
    client_.async_loaded(plugin.name(), plugin.mime_types(), to_string(boot_.sandbox_report()),
                         asio::bind_executor(loop_, [](const Result<void>&) {}));
    bulkhead::async_serve<PluginHost>(
        boot_.channel(), *this,
        asio::bind_executor(loop_, [this](const Result<void>&) { loop_.stop(); }));
    loop_.run();
  }

  void attach(Channel user) {
    // What the browser hands over is believed as the browser is; its other end is a renderer.
    auto handle = std::move(user).into_handle();
    if (!handle) return;
    auto channel = Channel::from_handle(*std::move(handle), bulkhead::Trust::untrusted);
    if (!channel) return;
    const auto at = users_.insert(users_.end(), *std::move(channel));
    bulkhead::async_serve<Plugin>(
        *at, renderer_,
        asio::bind_executor(loop_, [this, at](const Result<void>&) { users_.erase(at); }));
  }

  void ping(std::uint64_t token) {
    client_.async_pong(token, asio::bind_executor(loop_, [](const Result<void>&) {}));
  }

 private:
  /// What took the memory may never give it back. After this answer, a new process does better.
  void give_up() {
    if (std::exchange(gave_up_, true)) return;
    asio::post(loop_, [this] {
      client_.async_failed("it ran out of memory",
                           asio::bind_executor(loop_, [](const Result<void>&) {}));
    });
  }

  Bootstrap& boot_;
  asio::io_context loop_{1};
  Renderer renderer_;
  Remote<PluginHostClient> client_;
  std::list<Channel> users_;
  bool gave_up_ = false;
};

Result<void> enter_second_stage(Bootstrap& boot, const std::string& file) {
  // A role that runs as the browser does (on a thread, or for development) has no stages.
  if (!boot.sandbox_report().locked) return {};
  const PluginKind* const kind = plugin_of_file(file);
  if (!kind) return fail(ErrorKind::not_found, {.operation = "confine", .object = file});
  BULKHEAD_TRY(boot.tighten(plugin_rendering_sandbox(*kind)));
  return {};
}

Result<void> run(Bootstrap& boot) {
  auto [attempt, file] = BULKHEAD_TRY((boot.arguments<std::string, std::string>()));
  if (attempt.starts_with(while_loading)) run_attempt(attempt.substr(while_loading.size()));
  auto plugin = BULKHEAD_TRY(LoadedPlugin::load(file));
  BULKHEAD_TRY(enter_second_stage(boot, file));
  if (!attempt.empty()) run_attempt(attempt);
  Service{boot, plugin}.run();
  return {};
}

}  // namespace

void plugin_main(Bootstrap& boot) {
  const auto outcome = run(boot);
  if (outcome) return;
  const Remote<PluginHostClient> client{boot.channel()};
  static_cast<void>(client.failed(outcome.error().sentence()));
}

}  // namespace porthole

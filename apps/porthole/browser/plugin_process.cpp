// SPDX-License-Identifier: Apache-2.0
#include "browser/plugin_process.hpp"

#include <asio/io_context.hpp>
#include <utility>

#include <bulkhead/asio.hpp>

#include "plugin/main.hpp"
#include "plugin/sandbox.hpp"

namespace porthole {
namespace {

using bulkhead::Channel;
using bulkhead::ErrorKind;
using bulkhead::Result;

// One document may take a plugin so long; who waits for it has given up before.
constexpr std::chrono::seconds hang_limit{10};

auto ignored(Loops& loops) {
  return asio::bind_executor(loops.loop, [](const Result<void>&) {});
}

}  // namespace

/// PluginHostClient for this process; outlives it by its last message.
class PluginProcess::Host {
 public:
  explicit Host(std::weak_ptr<PluginProcess> owner) : owner_(std::move(owner)) {}

  void loaded(std::string, std::vector<std::string>, std::string) {
    const auto self = listening();
    if (!self) return;
    if (std::exchange(self->loaded_, true)) return self->end("it said twice that it is loaded");
    for (const Granted& granted : std::exchange(self->waiting_, {})) self->connect(granted);
  }
  void failed(std::string reason) {
    if (const auto self = listening()) self->end(reason.substr(0, 500));
  }
  void pong(std::uint64_t token) {
    const auto self = listening();
    if (!self) return;
    if (!self->watch_.pong(token)) return self->end("it answered a ping that nobody sent");
    self->answered(token);
  }

 private:
  std::shared_ptr<PluginProcess> listening() const {
    auto self = owner_.lock();
    return self && !self->gone_ ? self : nullptr;
  }

  std::weak_ptr<PluginProcess> owner_;
};

PluginProcess::PluginProcess(Loops& loops, const Roles& roles, std::string name, std::string site,
                             Gone gone)
    : loops_(loops),
      roles_(roles),
      name_(std::move(name)),
      site_(std::move(site)),
      told_(std::move(gone)),
      watch_(loops.loop, {.end_after = hang_limit},
             {.ping = [this](std::uint64_t token) { host_->async_ping(token, ignored(loops_)); },
              .hung = [this] { end("it did not answer for 10 s"); }}) {}

std::shared_ptr<PluginProcess> PluginProcess::start(Loops& loops, const Roles& roles,
                                                    const PluginKind& kind,
                                                    const std::filesystem::path& file,
                                                    std::string site, Gone gone) {
  std::shared_ptr<PluginProcess> self{
      new PluginProcess(loops, roles, std::string(kind.name), std::move(site), std::move(gone))};
  self->launch(kind, file);
  return self;
}

void PluginProcess::launch(const PluginKind& kind, const std::filesystem::path& file) {
  auto options = roles_.options("plugin", plugin_sandbox(kind, file));
  options.arguments = bulkhead::arguments(std::string(), file.string());
  const std::weak_ptr<PluginProcess> weak = weak_from_this();
  ChildProcess::Events events{.started =
                                  [weak] {
                                    if (const auto self = weak.lock()) self->started();
                                  },
                              .gone =
                                  [weak](const std::string& how) {
                                    if (const auto self = weak.lock()) self->died(how);
                                  }};
  child_ = ChildProcess::start(loops_, &bulkhead::spawn<plugin_main>, std::move(options),
                               std::move(events));
}

void PluginProcess::started() {
  host_.emplace(child_->channel());
  auto host = std::make_shared<Host>(weak_from_this());
  bulkhead::async_serve<PluginHostClient>(
      child_->channel(), *host,
      asio::bind_executor(loops_.loop, [host, weak = weak_from_this()](const Result<void>& ended) {
        const auto self = weak.lock();
        if (ended || ended.error() != ErrorKind::corrupt || !self) return;
        self->end("it sent a message that cannot be read");
      }));
  watch_.start();
}

void PluginProcess::grant(Granted granted) {
  if (loaded_) return connect(granted);
  waiting_.push_back(std::move(granted));
}

void PluginProcess::grant_when_answered(Granted granted) {
  if (!loaded_) return grant(std::move(granted));
  unanswered_.emplace_back(watch_.ask_now(), std::move(granted));
}

void PluginProcess::answered(std::uint64_t token) {
  std::vector<Granted> proven;
  std::erase_if(unanswered_, [&](auto& entry) {
    if (entry.first > token) return false;
    proven.push_back(std::move(entry.second));
    return true;
  });
  for (const Granted& granted : proven) connect(granted);
}

void PluginProcess::connect(const Granted& granted) {
  auto ends = roles_.channel();
  if (!ends) return granted(bulkhead::fail(std::move(ends).error()));
  host_->async_attach(std::move(ends->first), ignored(loops_));
  granted(std::move(ends->second));
}

void PluginProcess::end(std::string why) {
  close(ErrorKind::peer_died, why);
  child_->end(std::move(why));
}

void PluginProcess::abandon() {
  told_ = nullptr;
  close(ErrorKind::cancelled, "it is no longer needed");
  child_->abandon();
}

void PluginProcess::died(const std::string& how) {
  close(ErrorKind::peer_died, how);
  if (told_) std::exchange(told_, nullptr)(*this, how);
}

void PluginProcess::close(ErrorKind kind, const std::string& why) {
  if (std::exchange(gone_, true)) return;
  watch_.stop();
  auto waiting = std::exchange(waiting_, {});
  for (auto& [token, granted] : std::exchange(unanswered_, {})) {
    waiting.push_back(std::move(granted));
  }
  for (const Granted& granted : waiting) {
    granted(bulkhead::fail(kind, {.operation = "start the " + name_ + " plugin", .cause = why}));
  }
}

}  // namespace porthole

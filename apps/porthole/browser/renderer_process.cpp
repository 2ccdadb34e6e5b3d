// SPDX-License-Identifier: Apache-2.0
#include "browser/renderer_process.hpp"

#include <asio/io_context.hpp>
#include <utility>

#include <bulkhead/asio.hpp>

#include "browser/gpu_process.hpp"
#include "browser/load_policy.hpp"
#include "browser/plugin_processes.hpp"
#include "renderer/main.hpp"
#include "renderer/sandbox.hpp"

namespace porthole {
namespace {

using bulkhead::Channel;
using bulkhead::Result;

auto ignored(Services& services) {
  return asio::bind_executor(services.loops.loop, [](const Result<void>&) {});
}

}  // namespace

/// FrameHost for this process; outlives it by its last message.
class RendererProcess::Host {
 public:
  explicit Host(std::weak_ptr<RendererProcess> owner) : owner_(std::move(owner)) {}

  void did_commit(NavigationId navigation, std::string title) {
    const auto self = listening();
    if (!self || !present(*self, self->claims_.did_commit(navigation, title))) return;
    self->client_->page_parsed(*self, navigation, std::move(title));
  }
  void did_paint(NavigationId navigation, std::uint64_t frame, Size content, bool complete) {
    const auto self = listening();
    if (!self) return;
    const auto verdict = self->claims_.did_paint(navigation, frame, content);
    if (verdict) self->frame_ = frame;
    if (!present(*self, verdict)) return;
    self->client_->page_painted(*self, navigation, frame, content, complete);
  }
  void began_navigation(std::string url) {
    const auto self = listening();
    if (!self || !present(*self, self->claims_.began_navigation(url))) return;
    self->client_->link_followed(*self, std::move(url));
  }
  void report(NavigationId navigation, std::string text) {
    const auto self = listening();
    if (!self || !present(*self, self->claims_.report(navigation, text))) return;
    self->client_->page_reported(navigation, std::move(text));
  }
  void pong(std::uint64_t token) {
    const auto self = listening();
    if (!self) return;
    if (!self->watch_.pong(token)) return self->lied("pong answers a ping that nobody sent");
    self->answered_ = token;
    self->client_->renderer_answered(*self);
  }

 private:
  std::shared_ptr<RendererProcess> listening() const {
    auto self = owner_.lock();
    return self && self->client_ && !self->gone_ ? self : nullptr;
  }
  static bool present(RendererProcess& self, const RendererClaims::Verdict& verdict) {
    if (!verdict) self.lied(verdict.error());
    return verdict && *verdict == RendererClaims::About::present;
  }

  std::weak_ptr<RendererProcess> owner_;
};

RendererProcess::RendererProcess(Services& services, RendererClient& client, Site site,
                                 Size viewport)
    : services_(services),
      client_(&client),
      site_(std::move(site)),
      viewport_(viewport),
      layer_(services.numbers.layer()),
      watch_(
          services.loops.loop, services.hang,
          {.ping = [this](std::uint64_t token) { page_->async_ping(token, ignored(services_)); },
           .busy =
               [this](bool busy) {
                 if (client_) client_->renderer_busy(*this, busy);
               },
           .hung =
               [this] { end("it did not answer for " + seconds_of(*services_.hang.end_after)); }}) {
}

std::shared_ptr<RendererProcess> RendererProcess::start(Services& services, RendererClient& client,
                                                        Site site, Size viewport) {
  std::shared_ptr<RendererProcess> self{
      new RendererProcess(services, client, std::move(site), viewport)};
  self->launch();
  return self;
}

void RendererProcess::launch() {
  const std::weak_ptr<RendererProcess> weak = weak_from_this();
  auto options = services_.roles.options("renderer", renderer_sandbox());
  options.arguments = bulkhead::arguments(std::string());
  auto resources = services_.roles.channel();
  auto plugins = services_.roles.channel();
  ChildProcess::Events events{.started =
                                  [weak] {
                                    if (const auto self = weak.lock()) self->started();
                                  },
                              .gone =
                                  [weak](const std::string& how) {
                                    if (const auto self = weak.lock()) self->died(how);
                                  }};
  if (resources && plugins) {
    options.channels.add("resources", std::move(resources->second));
    options.channels.add("plugins", std::move(plugins->second));
    resources_ = ResourceDesk::open(
        services_.loops.loop, services_.loader, claims_, std::move(resources->first),
        {.may_load = [this](const ResourceRequest& request) { return may_load(*url_, request); },
         .bad = [this](const std::string& what) { lied(what); }});
    plugins_ = PluginDesk::open(
        services_.loops.loop, std::move(plugins->first),
        {.acquire =
             [this](const std::string& mime_type, PluginProcesses::Asked asked,
                    PluginDesk::Granted granted) {
               services_.plugins.acquire(site_, mime_type, asked, std::move(granted));
             },
         .bad = [this](const std::string& what) { lied(what); }});
  }
  // Without the channels the role says itself what is missing.
  child_ = ChildProcess::start(services_.loops, &bulkhead::spawn<renderer_main>, std::move(options),
                               std::move(events));
  services_.gpu.add_layer(
      layer_,
      [weak](Channel producer) {
        if (const auto self = weak.lock()) self->attach(std::move(producer));
      },
      [weak](const std::string& reason) {
        if (const auto self = weak.lock()) self->lied("its layer: " + reason);
      });
}

void RendererProcess::started() {
  page_.emplace(child_->channel());
  auto host = std::make_shared<Host>(weak_from_this());
  bulkhead::async_serve<FrameHost>(
      child_->channel(), *host,
      asio::bind_executor(services_.loops.loop,
                          [host, weak = weak_from_this()](const Result<void>& ended) {
                            const auto self = weak.lock();
                            if (ended || ended.error() != bulkhead::ErrorKind::corrupt || !self) {
                              return;  // its death is told by the kernel
                            }
                            self->lied("a message that cannot be read");
                          }));
  page_->async_resize(viewport_, ignored(services_));
  send_what_waits();
  watch_.start();
}

void RendererProcess::attach(Channel layer) {
  layer_waiting_ = std::move(layer);
  send_what_waits();
}

void RendererProcess::send_what_waits() {
  if (!page_ || gone_) return;
  if (layer_waiting_) {
    page_->async_attach_layer(std::move(*layer_waiting_), ignored(services_));
    layer_waiting_.reset();
    attached_ = true;
  }
  if (!attached_ || !waiting_) return;
  page_->async_commit(std::move(*waiting_), ignored(services_));
  waiting_.reset();
}

void RendererProcess::commit(const Url& url, Commit commit) {
  if (gone_) return;
  if (site_.name.empty()) site_ = site_of(url);
  url_ = url;
  claims_.committed(commit.navigation);
  if (resources_) resources_->forget();
  waiting_ = std::move(commit);
  send_what_waits();
}

void RendererProcess::stop(NavigationId navigation) {
  if (resources_) resources_->forget();
  if (page_ && !gone_) page_->async_stop(navigation, ignored(services_));
}

void RendererProcess::resize(Size viewport) {
  viewport_ = viewport;
  if (page_ && !gone_) page_->async_resize(viewport, ignored(services_));
}

void RendererProcess::scroll_to(Point offset) {
  if (waiting_) waiting_->scroll = offset;
  if (page_ && !gone_) page_->async_scroll_to(offset, ignored(services_));
}

void RendererProcess::click(Point at) {
  if (page_ && !gone_) page_->async_click(at, ignored(services_));
}

void RendererProcess::lied(const std::string& what) { end("it sent a bad message: " + what); }

void RendererProcess::end(std::string how) {
  watch_.stop();
  child_->end(std::move(how));
  close();
}

void RendererProcess::abandon() {
  client_ = nullptr;
  child_->abandon();
  close();
}

void RendererProcess::died(const std::string& how) {
  close();
  if (client_) std::exchange(client_, nullptr)->renderer_gone(*this, how);
}

// Nothing that it still says counts, and nothing more is told to it.
void RendererProcess::close() {
  if (std::exchange(gone_, true)) return;
  watch_.stop();
  services_.gpu.remove_layer(layer_);
  if (resources_) resources_->close();
  if (plugins_) plugins_->close();
  waiting_.reset();
}

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
#include "browser/resource_desk.hpp"

#include <asio/io_context.hpp>
#include <utility>

#include <bulkhead/asio.hpp>

namespace porthole {
namespace {

using bulkhead::Result;

LoadKind kind_of(ResourceKind kind) {
  switch (kind) {
    case ResourceKind::style_sheet:
      return LoadKind::style_sheet;
    case ResourceKind::image:
      return LoadKind::image;
    case ResourceKind::other:
      break;
  }
  return LoadKind::other;
}

// No page asks for more at once, and each costs memory here.
constexpr std::size_t most_under_way = 10'000;

}  // namespace

ResourceDesk::ResourceDesk(asio::io_context& loop, Loader& loader, RendererClaims& claims,
                           bulkhead::Channel channel, Events events)
    : loop_(loop),
      loader_(loader),
      claims_(&claims),
      channel_(std::move(channel)),
      client_(channel_),
      events_(std::move(events)) {}

std::shared_ptr<ResourceDesk> ResourceDesk::open(asio::io_context& loop, Loader& loader,
                                                 RendererClaims& claims, bulkhead::Channel channel,
                                                 Events events) {
  std::shared_ptr<ResourceDesk> desk{
      new ResourceDesk(loop, loader, claims, std::move(channel), std::move(events))};
  desk->serve();
  return desk;
}

void ResourceDesk::serve() {
  bulkhead::async_serve<ResourceLoader>(
      channel_, *this,
      asio::bind_executor(loop_, [self = shared_from_this()](const Result<void>& ended) {
        if (ended || ended.error() != bulkhead::ErrorKind::corrupt) return;
        self->bad("sent a message that cannot be read to the resource loader");
      }));
}

void ResourceDesk::forget() { loads_.clear(); }

void ResourceDesk::close() {
  claims_ = nullptr;
  events_ = {};
  loads_.clear();
  channel_.close();
}

void ResourceDesk::start(ResourceRequest request) {
  if (!claims_) return;
  const auto verdict = claims_->start(request);
  if (!verdict) return bad(verdict.error());
  if (*verdict == RendererClaims::About::past) {
    return refuse(request.id, "the page that asked has gone");
  }
  if (loads_.size() >= most_under_way) return bad("start came ten thousand times at once");
  if (const auto may = events_.may_load(request); !may) {
    return refuse(request.id, may.error().sentence());
  }
  const RequestId id = request.id;
  LoadEvents events{.done = [this, id](Result<Loaded> loaded) { done(id, std::move(loaded)); }};
  loads_[id] = loader_.start(std::move(request.url), kind_of(request.kind), std::move(events));
}

void ResourceDesk::cancel(RequestId id) {
  if (!claims_) return;
  if (const auto verdict = claims_->cancel(id); !verdict) return bad(verdict.error());
  loads_.erase(id);
}

void ResourceDesk::done(RequestId id, Result<Loaded> loaded) {
  const auto finished = loads_.extract(id);  // kept to the end of its own event
  if (!loaded) return refuse(id, loaded.error().sentence());
  client_.async_loaded(id, std::move(loaded->head), std::move(loaded->body),
                       asio::bind_executor(loop_, [](const Result<void>&) {}));
}

void ResourceDesk::refuse(RequestId id, const std::string& reason) {
  client_.async_failed(id, reason, asio::bind_executor(loop_, [](const Result<void>&) {}));
}

// close() may come of it, and would take away the function that runs.
void ResourceDesk::bad(const std::string& what) {
  const auto tell = events_.bad;
  if (tell) tell(what);
}

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
#include "browser/plugin_desk.hpp"

#include <asio/io_context.hpp>
#include <utility>

#include <bulkhead/asio.hpp>

namespace porthole {
namespace {

using bulkhead::Channel;
using bulkhead::Result;

constexpr std::size_t longest_mime_type = 255;
constexpr std::size_t most_requests = 100'000;

}  // namespace

PluginDesk::PluginDesk(asio::io_context& loop, Channel channel, Events events)
    : loop_(loop), channel_(std::move(channel)), user_(channel_), events_(std::move(events)) {}

std::shared_ptr<PluginDesk> PluginDesk::open(asio::io_context& loop, Channel channel,
                                             Events events) {
  std::shared_ptr<PluginDesk> desk{new PluginDesk(loop, std::move(channel), std::move(events))};
  desk->serve();
  return desk;
}

void PluginDesk::serve() {
  bulkhead::async_serve<PluginBroker>(
      channel_, *this,
      asio::bind_executor(loop_, [self = shared_from_this()](const Result<void>& ended) {
        if (ended || ended.error() != bulkhead::ErrorKind::corrupt) return;
        self->bad("sent a message that cannot be read to the plugin broker");
      }));
}

void PluginDesk::close() {
  events_ = {};
  channel_.close();
}

void PluginDesk::acquire(RequestId id, std::string mime_type) {
  if (!events_.acquire) return;
  if (mime_type.empty() || mime_type.size() > longest_mime_type) {
    return bad("acquire has an absurd MIME type");
  }
  if (asked_.size() >= most_requests) return bad("acquire came a hundred thousand times");
  if (!asked_.insert(static_cast<std::uint64_t>(id)).second) {
    return bad("acquire uses the number of an earlier request");
  }
  using Asked = PluginProcesses::Asked;
  const Asked asked = granted_.contains(mime_type) ? Asked::again : Asked::first;
  events_.acquire(mime_type, asked,
                  [weak = weak_from_this(), id, mime_type](Result<Channel> plugin) {
                    if (const auto self = weak.lock())
                      self->answer(id, mime_type, std::move(plugin));
                  });
}

void PluginDesk::answer(RequestId id, const std::string& mime_type, Result<Channel> plugin) {
  if (!events_.acquire) return;
  auto ignored = asio::bind_executor(loop_, [](const Result<void>&) {});
  if (plugin) granted_.insert(mime_type);
  if (plugin) return user_.async_granted(id, mime_type, std::move(*plugin), ignored);
  user_.async_refused(id, plugin.error().sentence(), ignored);
}

// close() may come of it, and would take away the function that runs.
void PluginDesk::bad(const std::string& what) {
  const auto tell = events_.bad;
  if (tell) tell(what);
}

}  // namespace porthole

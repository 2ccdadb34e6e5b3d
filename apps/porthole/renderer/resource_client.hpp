// SPDX-License-Identifier: Apache-2.0
//
// Fetcher: asks the browser for what a page refers to, and hands on each answer. The renderer's end
// of the channel "resources".
#pragma once

#include <asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include <bulkhead/channel.hpp>
#include <bulkhead/region.hpp>
#include <bulkhead/service.hpp>

#include "interfaces/resources.hpp"

namespace porthole {

/// A resource that has come.
struct Resource {
  ResourceHead head;
  std::optional<bulkhead::Region> body;
};

class Fetcher {
 public:
  /// Called once, in the loop: with the resource, or with the reason for which there is none.
  using Then = std::function<void(std::optional<Resource>, std::string reason)>;

  Fetcher(asio::io_context& loop, bulkhead::Channel browser);

  void fetch(NavigationId navigation, const std::string& url, ResourceKind kind, Then then);
  /// Forgets all that is under way; nothing of it is called any more.
  void cancel_all();
  std::size_t under_way() const noexcept { return waiting_.size(); }

  // ResourceClient
  void loaded(RequestId id, ResourceHead head, std::optional<bulkhead::Region> body);
  void failed(RequestId id, std::string reason);

 private:
  Then take(RequestId id);

  asio::io_context& loop_;
  bulkhead::Channel channel_;
  bulkhead::Remote<ResourceLoader> loader_{channel_};
  std::map<RequestId, Then> waiting_;
  std::uint64_t last_id_ = 0;
};

}  // namespace porthole

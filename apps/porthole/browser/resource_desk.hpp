// SPDX-License-Identifier: Apache-2.0
//
// ResourceDesk: serves ResourceLoader to one renderer process: whatever its page refers to is asked
// here, judged by what the page may load, and fetched by the Loader.
//
// Threads: the loop's. Ownership: shared with the handler that serves; close() ends it.
// Peer death: close(); loads under way are dropped. Blocking: never; a renderer that does not take
// what it asked for loses it.
// Trust: every request is checked by RendererClaims; one that cannot be true is told to `bad`.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include <bulkhead/channel.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/service.hpp>

#include "browser/loader.hpp"
#include "browser/renderer_claims.hpp"
#include "interfaces/resources.hpp"

namespace asio {
class io_context;
}

namespace porthole {

class ResourceDesk : public std::enable_shared_from_this<ResourceDesk> {
 public:
  struct Events {
    /// May the page that was committed last load this? An error says why not.
    std::function<bulkhead::Result<void>(const ResourceRequest& request)> may_load;
    std::function<void(const std::string& what)> bad;
  };

  /// `loop`, `loader` and `claims` must outlive it, or its close().
  static std::shared_ptr<ResourceDesk> open(asio::io_context& loop, Loader& loader,
                                            RendererClaims& claims, bulkhead::Channel channel,
                                            Events events);

  /// The page that asked has gone: what is under way is for nobody.
  void forget();
  void close();
  std::size_t under_way() const noexcept { return loads_.size(); }

  // ResourceLoader
  void start(ResourceRequest request);
  void cancel(RequestId id);

 private:
  ResourceDesk(asio::io_context& loop, Loader& loader, RendererClaims& claims,
               bulkhead::Channel channel, Events events);
  void serve();
  void bad(const std::string& what);
  void done(RequestId id, bulkhead::Result<Loaded> loaded);
  void refuse(RequestId id, const std::string& reason);

  asio::io_context& loop_;
  Loader& loader_;
  RendererClaims* claims_;
  bulkhead::Channel channel_;
  bulkhead::Remote<ResourceClient> client_;
  Events events_;
  std::map<RequestId, std::unique_ptr<Load>> loads_;
};

}  // namespace porthole

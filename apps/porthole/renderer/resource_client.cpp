// SPDX-License-Identifier: Apache-2.0
#include "renderer/resource_client.hpp"

#include <utility>

#include <bulkhead/asio.hpp>

namespace porthole {
namespace {

constexpr auto ignore = [](const bulkhead::Result<void>&) {};  // the main channel tells of an end

bool went_well(std::int32_t status) { return status >= 200 && status < 300; }

}  // namespace

Fetcher::Fetcher(asio::io_context& loop, bulkhead::Channel browser)
    : loop_(loop), channel_(std::move(browser)) {
  bulkhead::async_serve<ResourceClient>(channel_, *this, asio::bind_executor(loop_, ignore));
}

void Fetcher::fetch(NavigationId navigation, const std::string& url, ResourceKind kind, Then then) {
  const RequestId id{++last_id_};
  waiting_.emplace(id, std::move(then));
  const ResourceRequest request{.id = id, .navigation = navigation, .url = url, .kind = kind};
  loader_.async_start(request, asio::bind_executor(loop_, ignore));
}

void Fetcher::cancel_all() {
  for (const auto& [id, then] : std::exchange(waiting_, {})) {
    loader_.async_cancel(id, asio::bind_executor(loop_, ignore));
  }
}

Fetcher::Then Fetcher::take(RequestId id) {
  auto node = waiting_.extract(id);
  return node ? std::move(node.mapped()) : Then{};
}

void Fetcher::loaded(RequestId id, ResourceHead head, std::optional<bulkhead::Region> body) {
  const Then then = take(id);
  if (!then) return;  // cancelled while the answer was under way
  if (!went_well(head.status)) return then({}, "status " + std::to_string(head.status));
  then(Resource{.head = std::move(head), .body = std::move(body)}, {});
}

void Fetcher::failed(RequestId id, std::string reason) {
  if (const Then then = take(id)) then({}, std::move(reason));
}

}  // namespace porthole

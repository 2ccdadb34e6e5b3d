// SPDX-License-Identifier: Apache-2.0
//
// ResourceLoader and ResourceClient: how a renderer gets whatever its page refers to. The channel
// "resources": the browser serves ResourceLoader, the renderer ResourceClient.
//
// Each start() is answered by exactly one of loaded() and failed(), in any order, unless it is
// cancelled. The browser decides what a site may load (a page from the network gets no files) and
// follows redirects itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <bulkhead/interface.hpp>
#include <bulkhead/region.hpp>

#include "interfaces/types.hpp"

namespace porthole {

enum class ResourceKind : std::uint8_t { style_sheet, image, other };

struct ResourceRequest {
  RequestId id{};
  /// For the page that this navigation committed.
  NavigationId navigation{};
  /// Absolute.
  std::string url;
  ResourceKind kind = ResourceKind::other;
};

struct ResourceHead {
  /// HTTP's; 200 for files and data URLs.
  std::int32_t status = 0;
  /// After redirects.
  std::string url;
  /// Lower case, without parameters. From the head, the file's name or its first bytes.
  std::string mime_type;
  std::string charset;
};

struct ResourceLoader {
  void start(ResourceRequest request);
  void cancel(RequestId id);
};
BULKHEAD_INTERFACE(ResourceLoader, start, cancel)

struct ResourceClient {
  /// The body is frozen; nothing when it is empty.
  void loaded(RequestId id, ResourceHead head, std::optional<bulkhead::Region> body);
  /// One line for people.
  void failed(RequestId id, std::string reason);
};
BULKHEAD_INTERFACE(ResourceClient, loaded, failed)

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
//
// data: URLs (RFC 2397): a small body within the URL itself.
#pragma once

#include <string>

#include <bulkhead/result.hpp>

#include "browser/url.hpp"

namespace porthole {

struct DataUrl {
  /// As a Content-Type header would say; "text/plain;charset=us-ascii" when it says nothing.
  std::string content_type;
  std::string body;
};

/// REQUIRES: url.is_data(). `invalid` when it is damaged.
bulkhead::Result<DataUrl> decode_data_url(const Url& url);

}  // namespace porthole

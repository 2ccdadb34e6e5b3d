// SPDX-License-Identifier: Apache-2.0
#include "browser/frozen_text.hpp"

#include <cstring>

namespace porthole {

using bulkhead::Region;

bulkhead::Result<Region> frozen_text(std::string_view text) {
  auto region = BULKHEAD_TRY(Region::create(text.size(), {.name = "page"}));
  std::memcpy(region.mutable_bytes().data(), text.data(), text.size());
  BULKHEAD_TRY(region.freeze());
  return region;
}

}  // namespace porthole

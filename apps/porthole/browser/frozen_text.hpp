// SPDX-License-Identifier: Apache-2.0
//
// A page that the browser makes itself, as the frozen memory that a renderer takes.
#pragma once

#include <string_view>

#include <bulkhead/region.hpp>
#include <bulkhead/result.hpp>

namespace porthole {

/// REQUIRES: the text is not empty.
bulkhead::Result<bulkhead::Region> frozen_text(std::string_view text);

}  // namespace porthole

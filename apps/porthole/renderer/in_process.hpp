// SPDX-License-Identifier: Apache-2.0
//
// The same engine without processes around it: what they cost is the difference.
#pragma once

#include <chrono>
#include <string>

#include "interfaces/types.hpp"

namespace porthole {

struct Timing {
  /// From nothing: fonts found, and a first word of each shaped. A spare renderer has that behind
  /// it.
  std::chrono::nanoseconds warm_up{};
  std::chrono::nanoseconds parse{};
  std::chrono::nanoseconds layout{};
  std::chrono::nanoseconds paint{};
  /// Without warm_up.
  std::chrono::nanoseconds total() const { return parse + layout + paint; }
};

/// Parses, places and paints the page's first viewport, in this thread. Whatever the page refers
/// to is missing.
Timing draw_in_this_process(const std::string& html, Size viewport);

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
#include "browser/services.hpp"

#include <sstream>

namespace porthole {

std::string seconds_of(std::chrono::milliseconds time) {
  std::ostringstream text;
  text << std::chrono::duration<double>(time).count() << " s";
  return std::move(text).str();
}

}  // namespace porthole

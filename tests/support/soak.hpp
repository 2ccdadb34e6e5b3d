// SPDX-License-Identifier: Apache-2.0
//
// How much of a fault test to run: the number that fits CI, times BULKHEAD_SOAK (`make soak`).
#pragma once

#include <cstdlib>

namespace bulkhead::test {

/// `rounds` in CI, more under `make soak`.
inline int soaked(int rounds) {
  const char* factor = std::getenv("BULKHEAD_SOAK");
  int times = factor ? std::atoi(factor) : 1;
  return times > 1 ? rounds * times : rounds;
}

}  // namespace bulkhead::test

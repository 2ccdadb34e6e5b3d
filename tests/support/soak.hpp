// SPDX-License-Identifier: Apache-2.0
//
// How much of a fault test to run: the number that fits CI, times BULKHEAD_SOAK (`make soak`).
#pragma once

#include <cstdlib>
#include <limits>

namespace bulkhead::test {

/// `rounds` in CI, more under `make soak`, though at most `most`.
inline int soaked(int rounds, int most = std::numeric_limits<int>::max()) {
  const char* factor = std::getenv("BULKHEAD_SOAK");
  const int times = factor ? std::atoi(factor) : 1;
  if (times <= 1) return rounds;
  return rounds > most / times ? most : rounds * times;
}

}  // namespace bulkhead::test

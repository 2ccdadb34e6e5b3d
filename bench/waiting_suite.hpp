// SPDX-License-Identifier: Apache-2.0
//
// The waiting policy of a channel over memory against its two halves: for think times of the server
// from nothing to a millisecond, on two cores, on one, and wherever the kernel likes.
#pragma once

#include "bench/suite.hpp"

namespace bulkhead::bench {

/// Three rows for each think time and placement: sleeping, spinning, adaptive.
Suite run_waiting(const SuiteOptions& options);

}  // namespace bulkhead::bench

// SPDX-License-Identifier: Apache-2.0
//
// The bare ring as a contender, between processes or between threads: the same memory, the same
// loops.
#pragma once

#include <memory>

#include "bench/job.hpp"

namespace bulkhead::bench {

/// Nothing for a size that the ring was not compiled for.
std::unique_ptr<Variant> bare_ring(const Job& job);

}  // namespace bulkhead::bench

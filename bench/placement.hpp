// SPDX-License-Identifier: Apache-2.0
//
// Where the two sides of a pair run: on a core each, both on one core, or wherever the kernel
// likes.
#pragma once

#include <cstdint>

#include "bench/variant.hpp"

namespace bulkhead::bench {

enum class Placement : std::uint32_t { two_cores, one_core, unpinned };

/// How many CPUs this process may use.
int usable_cpus();

/// Pins the calling thread; unpinned leaves it as it is. The first usable CPU is the client's.
void pin(Placement placement, Side side);

/// The `cores` of a row: 2, 1, or the number of usable CPUs when unpinned.
int cores(Placement placement);

}  // namespace bulkhead::bench

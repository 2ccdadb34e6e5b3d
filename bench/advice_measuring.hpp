// SPDX-License-Identifier: Apache-2.0
//
// Measures the lines that advice is made of, in a few seconds: each mechanism between two processes
// through a Channel, at four sizes, with a pause of 1 ms, 100 µs and 10 µs between two messages and
// with none.
//
// What is told is processor time of the two sides, as the kernel counts it, which other work on the
// machine hardly changes. The sender's is that of the call alone: how it waits for its next message is
// not the mechanism's business. As fast as it goes is the best of a few slices.
#pragma once

#include <vector>

#include "bench/advice_lines.hpp"

namespace bulkhead::bench {

struct MeasuringOptions {
  std::vector<std::size_t> sizes{64, 4096, 65536, 1048576};
  /// Only these; empty: all that join two processes.
  std::vector<Mechanism> only;
};

/// Lines and what could not be measured; the origin is the caller's. Must be called while the process
/// has one thread: it forks.
Measurements measure_lines(const MeasuringOptions& options = {});

}  // namespace bulkhead::bench

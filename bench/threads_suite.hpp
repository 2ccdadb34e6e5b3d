// SPDX-License-Identifier: Apache-2.0
//
// `bulkhead bench --threads`: a thread beside a process: to start, to switch to, to call, in memory;
// what a shared lock costs, what more threads than cores do, and what overlapping input with
// computing gains.
#pragma once

#include "bench/suite.hpp"

namespace bulkhead::bench {

/// Must be called while the process has one thread: it forks.
Suite run_threads(const SuiteOptions& options);

void print_threads(std::FILE* out, const std::vector<Row>& rows);

}  // namespace bulkhead::bench

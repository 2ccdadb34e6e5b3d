// SPDX-License-Identifier: Apache-2.0
//
// `bulkhead bench --locks`: what processes lock, wait for and count on in shared memory, alone,
// between two threads and between two processes, beside the raw one, POSIX's and
// Boost.Interprocess's in the same duel.
#pragma once

#include "bench/suite.hpp"

namespace bulkhead::bench {

/// Must be called while the process has one thread: it forks.
Suite run_locks(const SuiteOptions& options);

void print_locks(std::FILE* out, const std::vector<Row>& rows);

}  // namespace bulkhead::bench

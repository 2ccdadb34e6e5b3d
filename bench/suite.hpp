// SPDX-License-Identifier: Apache-2.0
//
// The suite: which duels are fought, and the rows made of them.
#pragma once

#include <string>
#include <vector>

#include "bench/row.hpp"

namespace bulkhead::bench {

struct SuiteOptions {
  /// Under half a minute in all; without it some minutes, with longer slices and more rounds.
  bool quick = false;
  /// Only these mechanisms beside the floors and the bare ring; empty: all.
  std::vector<std::string> only;
};

struct Suite {
  std::vector<Row> rows;
  /// What was left out and why; one sentence each.
  std::vector<std::string> notes;
};

/// Must be called while the process has one thread: it forks.
Suite run_suite(const SuiteOptions& options);

}  // namespace bulkhead::bench

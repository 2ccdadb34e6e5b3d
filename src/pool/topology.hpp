// SPDX-License-Identifier: Apache-2.0
//
// Which CPUs are hardware threads of one core: two of them are no two cores, and who pins a master
// beside its own worker's sibling has not given it a core of its own.
//
// By hwloc, which is opened when somebody asks and never linked: workers, which start often, do not
// pay for it, and a program runs where it is not installed. Then each CPU counts as a core.
#pragma once

#include <vector>

namespace bulkhead::pool {

/// The CPUs of one core, of those asked about, lowest first.
using Core = std::vector<unsigned>;

/// In the order of their first CPU; no empty one. `synthetic`: of a machine that hwloc makes up
/// ("core:2 pu:2") instead of this one.
std::vector<Core> cores_of(const std::vector<unsigned>& cpus, const char* synthetic = nullptr);

bool has_topology();

/// Where a master and its workers go: it has the first core alone, or where there is only one, a
/// hardware thread of it. `workers` is empty when there is one CPU in all.
struct Split {
  unsigned master = 0;
  std::vector<unsigned> workers;
};
Split split(const std::vector<Core>& cores);

}  // namespace bulkhead::pool

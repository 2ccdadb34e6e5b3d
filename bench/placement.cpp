// SPDX-License-Identifier: Apache-2.0
#include "bench/placement.hpp"

#include <algorithm>
#include <cerrno>
#include <sched.h>
#include <system_error>

namespace bulkhead::bench {

namespace {

/// The mask of the process as it was started: read once, before anybody pins a thread.
const cpu_set_t& first_mask() {
  static const cpu_set_t mask = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0) CPU_SET(0, &set);
    return set;
  }();
  return mask;
}

int nth_cpu(int n) {
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &first_mask()) && n-- == 0) return cpu;
  }
  return -1;
}

}  // namespace

int usable_cpus() { return CPU_COUNT(&first_mask()); }

void pin(Placement placement, Side side) {
  if (placement == Placement::unpinned) return;
  const int n = placement == Placement::two_cores && side == Side::server ? 1 : 0;
  const int cpu = nth_cpu(n);
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu >= 0) CPU_SET(cpu, &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0) {
    throw std::system_error{errno, std::generic_category(), "sched_setaffinity"};
  }
}

int cores(Placement placement) {
  if (placement == Placement::one_core) return 1;
  return placement == Placement::two_cores ? 2 : usable_cpus();
}

}  // namespace bulkhead::bench

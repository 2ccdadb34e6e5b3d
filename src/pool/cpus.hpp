// SPDX-License-Identifier: Apache-2.0
//
// The CPUs that this process may really use: by its affinity, sched_getaffinity(2), and by the quota
// of its cgroup and those above it (cpu.max; cpu.cfs_quota_us in version 1, cgroups(7)). A cgroup's
// cpuset needs no look of its own: the kernel keeps the affinity within it. Cores: topology.hpp.
// The count of the machine is what a container's user is surprised by.
#pragma once

#include <filesystem>
#include <optional>
#include <sched.h>
#include <string>
#include <vector>

#include <bulkhead/result.hpp>

namespace bulkhead::pool {

/// Whole CPUs that a quota allows, rounded up and at least 1; nothing without one.
/// `memberships` is the text of /proc/self/cgroup, `mount` where cgroups are mounted.
std::optional<unsigned> cpu_quota(const std::string& memberships,
                                  const std::filesystem::path& mount);

std::vector<unsigned> allowed_cpus();

/// Of this thread (0) or of the process `pid`.
Result<void> pin(pid_t pid, const std::vector<unsigned>& cpus);

}  // namespace bulkhead::pool

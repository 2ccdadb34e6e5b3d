// SPDX-License-Identifier: Apache-2.0
#include "pool/cpus.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>

#include <bulkhead/pool.hpp>

#include "os/syscall.hpp"
#include "pool/cgroup.hpp"

namespace bulkhead {
namespace pool {
namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& file) {
  std::ifstream in{file};
  std::string line;
  std::getline(in, line);
  return line;
}

std::optional<double> quota_of(const std::string& quota, const std::string& period) {
  const double most = std::atof(quota.c_str());
  const double of = std::atof(period.c_str());
  if (most <= 0 || of <= 0) return std::nullopt;  // "max", "-1" and no such file
  return most / of;
}

std::optional<double> quota_at(const fs::path& group) {
  std::istringstream both{first_line(group / "cpu.max")};
  std::string quota;
  std::string period;
  both >> quota >> period;
  if (auto found = quota_of(quota, period)) return found;
  return quota_of(first_line(group / "cpu.cfs_quota_us"), first_line(group / "cpu.cfs_period_us"));
}

/// The least of a group's and those above it, up to the mount.
std::optional<double> least_quota(const fs::path& mount, fs::path group) {
  std::optional<double> least;
  for (;;) {
    const auto here = quota_at(mount / group.relative_path());
    if (here && (!least || *here < *least)) least = here;
    if (!group.has_relative_path()) return least;
    group = group.parent_path();
  }
}

}  // namespace

std::optional<unsigned> cpu_quota(const std::string& memberships, const fs::path& mount) {
  std::optional<double> least;
  for (const Membership& member : memberships_in(memberships)) {
    if (!member.is_unified() && !member.counts("cpu")) continue;
    const fs::path below = member.is_unified() ? mount : mount / member.controllers;
    const auto here = least_quota(below, member.group);
    if (here && (!least || *here < *least)) least = here;
  }
  if (!least) return std::nullopt;
  return std::max(1u, static_cast<unsigned>(std::ceil(*least)));
}

std::vector<unsigned> allowed_cpus() {
  std::vector<unsigned> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
  }
  return cpus;
}

Result<void> pin(pid_t pid, const std::vector<unsigned>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const unsigned cpu : cpus) CPU_SET(cpu, &set);
  if (::sched_setaffinity(pid, sizeof set, &set) != 0) return os::failed("pin", "process");
  return {};
}

}  // namespace pool

unsigned available_cpus() {
  auto count = static_cast<unsigned>(pool::allowed_cpus().size());
  if (count == 0) count = std::max(1u, std::thread::hardware_concurrency());
  const auto quota = pool::cpu_quota(pool::own_memberships(), pool::cgroup_mount);
  return std::min(count, quota.value_or(count));
}

}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
// Which cgroups this process is in, cgroups(7): for its CPU quota and for the kernel's memory kills.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::pool {

struct Membership {
  std::string controllers;  ///< "cpu,cpuacct"; empty in version 2
  std::filesystem::path group;

  bool is_unified() const { return controllers.empty(); }
  bool counts(std::string_view controller) const;
};

/// "4:memory:/a/b" and, in version 2, "0::/a/b", a line each.
std::vector<Membership> memberships_in(const std::string& text);

/// The text of /proc/self/cgroup; empty where there is none.
std::string own_memberships();

/// Where cgroups are mounted.
inline constexpr const char* cgroup_mount = "/sys/fs/cgroup";

}  // namespace bulkhead::pool

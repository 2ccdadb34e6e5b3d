// SPDX-License-Identifier: Apache-2.0
#include "pool/kernel_kills.hpp"

#include <fstream>
#include <string>
#include <utility>

#include "pool/cgroup.hpp"

namespace bulkhead::pool {
namespace {

namespace fs = std::filesystem;

fs::path counter_file() {
  const fs::path mount{cgroup_mount};
  fs::path unified;
  for (const Membership& member : memberships_in(own_memberships())) {
    if (member.counts("memory")) {
      return mount / member.controllers / member.group.relative_path() / "memory.oom_control";
    }
    if (member.is_unified()) unified = mount / member.group.relative_path() / "memory.events";
  }
  return unified;
}

}  // namespace

KernelKills::KernelKills() : file_(counter_file()) { seen_ = count(); }

std::uint64_t KernelKills::count() const {
  std::ifstream file{file_};
  std::string name;
  std::uint64_t value = 0;
  while (file >> name >> value) {
    if (name == "oom_kill") return value;
  }
  return seen_;
}

std::uint64_t KernelKills::news() {
  const std::uint64_t now = count();
  return now - std::exchange(seen_, now);
}

}  // namespace bulkhead::pool

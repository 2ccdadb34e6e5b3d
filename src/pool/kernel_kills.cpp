// SPDX-License-Identifier: Apache-2.0
#include "pool/kernel_kills.hpp"

#include <fstream>
#include <string>
#include <utility>

namespace bulkhead::pool {
namespace {

namespace fs = std::filesystem;

fs::path counter_file() {
  const fs::path mount{"/sys/fs/cgroup"};
  std::ifstream memberships{"/proc/self/cgroup"};
  fs::path unified;
  for (std::string line; std::getline(memberships, line);) {
    const auto at = line.find(":memory:");
    if (at != line.npos) {
      return mount / "memory" / fs::path{line.substr(at + 8)}.relative_path() /
             "memory.oom_control";
    }
    if (line.starts_with("0::")) {
      unified = mount / fs::path{line.substr(3)}.relative_path() / "memory.events";
    }
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

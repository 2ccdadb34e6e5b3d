// SPDX-License-Identifier: Apache-2.0
#include "pool/cgroup.hpp"

#include <fstream>
#include <iterator>
#include <sstream>

namespace bulkhead::pool {

bool Membership::counts(std::string_view controller) const {
  return ("," + controllers + ",").find("," + std::string(controller) + ",") != std::string::npos;
}

std::vector<Membership> memberships_in(const std::string& text) {
  std::vector<Membership> all;
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find(':');
    const auto second = first == line.npos ? first : line.find(':', first + 1);
    if (second == line.npos) continue;
    all.push_back({line.substr(first + 1, second - first - 1), line.substr(second + 1)});
  }
  return all;
}

std::string own_memberships() {
  std::ifstream file{"/proc/self/cgroup"};
  return {std::istreambuf_iterator<char>{file}, {}};
}

}  // namespace bulkhead::pool

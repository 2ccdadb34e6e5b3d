// SPDX-License-Identifier: Apache-2.0
#include "crash/crash_report.hpp"

#include <iomanip>

namespace bulkhead::crash {
namespace {

template <class... Columns>
void print(std::ostream& out, const std::string& name, const Columns&... columns) {
  out << std::left << std::setw(52) << name << std::right;
  ((out << std::setw(14) << columns), ...);
  out << '\n';
}

}  // namespace

void print_head(std::ostream& out) {
  print(out, "operation", "instructions", "states", "deaths", "violations");
}

void print_row(std::ostream& out, const Outcome& outcome) {
  print(out, outcome.name, outcome.instructions, outcome.states, outcome.deaths,
        outcome.violations);
  for (const auto& example : outcome.examples) out << "    " << example << '\n';
}

void print_sum(std::ostream& out, const std::vector<Outcome>& outcomes) {
  std::size_t deaths = 0;
  std::size_t violations = 0;
  for (const auto& outcome : outcomes) {
    deaths += outcome.deaths;
    violations += outcome.violations;
  }
  out << "deaths: " << deaths << " violations: " << violations << '\n';
}

}  // namespace bulkhead::crash

// SPDX-License-Identifier: Apache-2.0
//
// The census of deaths as a table: operation, instructions, distinct states, deaths, violations.
#pragma once

#include <ostream>
#include <vector>

#include "crash/deaths.hpp"

namespace bulkhead::crash {

void print_head(std::ostream& out);
/// Its row, and under it what was violated.
void print_row(std::ostream& out, const Outcome& outcome);
/// The last line: `deaths: N violations: N`.
void print_sum(std::ostream& out, const std::vector<Outcome>& outcomes);

}  // namespace bulkhead::crash

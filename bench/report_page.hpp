// SPDX-License-Identifier: Apache-2.0
//
// The rows of a run as one HTML page with plots: bars a mechanism, lines over message size, what
// meets the targets and what does not, and the machine it was measured on. The page needs nothing
// from anywhere: style and pictures are in it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bench/suite.hpp"

namespace bulkhead::bench {

/// What the page says about where the rows come from.
struct Surroundings {
  std::string processor = {};
  int cpus = 0;  // that may be used
  std::string kernel = {};
  std::string load = {};  // "0.4": the average of the minute before
  std::string date = {};  // UTC
  std::string version = {};
  bool quick = false;
};

/// Before the run: a load average taken after it would be the run's own.
Surroundings surroundings_here(std::string version, bool quick);

std::string to_html(const Suite& suite, const Surroundings& where);

}  // namespace bulkhead::bench

// SPDX-License-Identifier: Apache-2.0
//
// Mapping: runs a command for each input, so many at a time; one thread, which waits on descriptors.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <bulkhead/result.hpp>

#include "tools/bulkhead/map/halt.hpp"
#include "tools/bulkhead/map/job_log.hpp"
#include "tools/bulkhead/map/output.hpp"
#include "tools/bulkhead/map/program.hpp"
#include "tools/bulkhead/map/words.hpp"

namespace bulkhead::tools::map {

struct Options {
  CommandTemplate command;
  /// The inputs, or where they are read from: a path, or standard input when that is empty too.
  std::optional<std::vector<std::string>> inputs{};
  std::string input_file{};
  char separator = '\n';

  unsigned workers = 1;
  unsigned retries = 0;  ///< how often an input that failed is tried again
  std::optional<std::chrono::milliseconds> time_limit{};
  /// How long a program that is to end has for it, before it is killed.
  std::chrono::milliseconds patience{2000};
  Halt halt{};

  OutputTo output = OutputTo::pipes;
  Output::Order order = Output::Order::of_inputs;
  bool progress = false;
  bool dry_run = false;  ///< print the commands instead

  std::string job_log{};
  JobLog::Keep keep = JobLog::Keep::nothing;
};

/// Runs it to its end. The exit status: 0 when every input succeeded; else how many failed, 101 for
/// more than a hundred; 127 when there is no such program; 255 when the run could not go on. A run
/// ended by a signal ends by that signal.
int run(const Options& options);

}  // namespace bulkhead::tools::map

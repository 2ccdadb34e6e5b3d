// SPDX-License-Identifier: Apache-2.0
//
// What becomes of a task whose worker died, by what it died of. Pure: nothing here starts, kills or
// saves anything.
#pragma once

#include <string>

#include "pool/task.hpp"

namespace bulkhead::pool {

/// Why a worker is killed, told to its Exit; also how verdict() knows a time limit from a crash.
std::string past_limit(std::chrono::nanoseconds limit);

enum class Verdict : std::uint8_t {
  again,        ///< on a worker started since
  again_alone,  ///< with twice the memory, while no other task runs
  timed_out,    ///< given up; it only took too long
  poisoned,     ///< given up; it ended its workers
};

/// After `task.exits` has got its latest.
Verdict verdict(const detail::Task& task);

/// "SIGSEGV twice", "out of memory (limit 64 MiB), then SIGKILL"
std::string in_words(const std::vector<Exit>& exits);

}  // namespace bulkhead::pool

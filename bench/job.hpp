// SPDX-License-Identifier: Apache-2.0
//
// A job is one question of the bench: what is moved, how, and where the two sides run. A subject is
// a mechanism through an interface; given a job it makes its contender, or nothing when the job is
// not for it. Adding a mechanism to the bench is one file with a function that makes the contender,
// and one line in subjects.cpp.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/pair.hpp"

namespace bulkhead::bench {

enum class Mode { hot, sleeping, copied, in_place };

std::string_view name_of(Mode mode);

/// How a channel over memory waits: as it learns to, or in one way always.
enum class Waiting { learned, spin, sleep };

struct Job {
  Shape shape = Shape::round_trip;
  std::size_t bytes = 64;
  Mode mode = Mode::hot;
  Placement placement = Placement::two_cores;
  Waiting waiting = Waiting::learned;
  /// How long the server thinks before it answers.
  std::chrono::nanoseconds think{0};
  /// How many messages a channel is given at once, one way.
  std::size_t batch = 1;
  /// Where the private buffers begin, behind a page boundary.
  std::size_t offset = 0;
};

struct Subject {
  std::string mechanism;
  std::string api;
  Kind kind = Kind::processes;
  /// Its messages go through the kernel: rates are compared with the raw subject of the same
  /// mechanism.
  bool through_kernel = false;
  std::unique_ptr<Variant> (*make)(const Job& job) = nullptr;
};

/// Everything that is measured, the floors apart; the bare ring first.
const std::vector<Subject>& subjects();

}  // namespace bulkhead::bench

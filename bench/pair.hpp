// SPDX-License-Identifier: Apache-2.0
//
// A pair is two sides, a client and a server, each pinned as the placement says, and led by the
// client through the slices of every contender in turn. The client is a process forked from the
// bench (which has no other thread then). The server is another such process or, for contenders
// between threads, a thread of the client's process: both servers wait on the same core for their
// turns, so that threads and processes meet in one duel. The sides agree through a board in shared
// memory; when a slice begins both are awake and at it.
//
// The bench outlives its pairs: a side that crashes or hangs (each command re-arms an alarm) ends
// the pair, and the result says at which contender.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/placement.hpp"
#include "bench/usage.hpp"
#include "bench/variant.hpp"

namespace bulkhead::bench {

enum class Kind : std::uint32_t { processes, threads };

struct PairOptions {
  Placement placement = Placement::two_cores;
  int rounds = 30;
  std::uint64_t slice_ns = 1'500'000;
  /// No further round begins after this time; a few there are always. Long after it system calls are
  /// not counted any more.
  std::chrono::nanoseconds budget = std::chrono::hours{1};
  /// Not zero: after the last round, one slice of at most so many messages each with its system calls
  /// counted and its time not taken.
  std::uint64_t counted_messages = 0;
};

/// One slice as both sides saw it.
struct Slice {
  std::uint64_t messages = 0;
  std::uint64_t elapsed_ns = 0;
  Usage client;
  Usage server;
};

struct Contender {
  Variant* variant = nullptr;
  Shape shape = Shape::round_trip;
  Kind kind = Kind::processes;
};

struct PairResult {
  /// slices[contender][round], as many rounds as the budget allowed; empty for a contender that could not be set up.
  std::vector<std::vector<Slice>> slices;
  /// The slice in which the system calls of a contender were counted; without messages when none was.
  std::vector<Slice> counted;
  /// Why a contender was left out; empty otherwise.
  std::vector<std::string> failures;
  /// The contender at which the pair died, or -1.
  int died_at = -1;
};

PairResult run_pair(const std::vector<Contender>& contenders, const PairOptions& options);

}  // namespace bulkhead::bench

// SPDX-License-Identifier: Apache-2.0
//
// Task: one input of a pool, from submit until whoever holds it has its result.
//
// STATE
//   waiting -> given     the master sends it to a worker
//   given -> waiting     its worker died or was told not to begin it, or another attempt is due
//   waiting, given -> ended   answered, given up, cancelled; the first of these, for ever
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <bulkhead/pool.hpp>

namespace bulkhead::detail {

struct Task {
  enum class State : std::uint8_t { waiting, given, ended };

  State state = State::waiting;
  bool alone = false;              ///< no other task may run beside it: memory ran out before
  std::uint32_t attempts = 0;      ///< taken up so far
  std::uint64_t number = 0;        ///< in the order of submitting
  std::uint64_t after_worker = 0;  ///< only for a worker with a later serial than this
  std::uint64_t entry_offset = 0;

  Request request;
  /// Arguments that are too long for a channel to take at once; `request.bytes` is their header.
  std::optional<Region> large;
  Retries retries;
  int priority = 0;
  std::chrono::nanoseconds time_limit = no_time_limit;
  std::uint64_t memory_limit = 0;  ///< 0: as the pool's workers have it

  std::vector<Exit> exits;   ///< of the workers that died of it
  std::uint32_t errors = 0;  ///< attempts that returned one

  Message reply;
  Trust trust = Trust::untrusted;
  std::optional<Error> failure;

  Group* group = nullptr;
  void* owner = nullptr;
};

}  // namespace bulkhead::detail

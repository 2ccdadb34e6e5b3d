// SPDX-License-Identifier: Apache-2.0
//
// One row of the bench's result: one figure of one contender, and what it was compared with in the
// same run.
#pragma once

#include <cstddef>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead::bench {

struct Row {
  std::string mechanism;  // shm, unix, inproc, threads; the floors: cache_line, futex, memcpy, ...
  std::string api;        // raw, ring, channel, service
  std::string what;       // round_trip, one_way, start
  std::size_t bytes = 0;
  std::string mode;  // hot, sleeping, copied, in_place
  int cores = 2;
  double value = 0;
  std::string unit;        // ns, messages/s, GB/s
  std::string floor;       // what `ratio` compares with, by its name
  double floor_value = 0;  // the floor in the same duel, in the same unit
  double ratio = 0;        // value / floor: the median of the ratios by round
  std::optional<double> ratio_ring;
  std::optional<double> ratio_raw;      // to the raw calls of the same mechanism
  std::optional<double> ratio_channel;  // a typed call to the Channel under it
  std::optional<double> system_calls;   // per message, both sides
  std::optional<double> switches;       // context switches per message, both sides
  std::size_t batch = 1;                // messages given to the channel at once
  std::size_t offset = 0;               // of the sender's buffer behind a page boundary
  std::optional<double> think_us;       // the waiting table alone, as the next two
  std::optional<double> cores_burnt;    // processor time of both sides over elapsed time
  std::string placement;                // two_cores, one_core, unpinned
  int rounds = 0;                       // that count
  int rounds_apart = 0;                 // kept apart: see duel.hpp
};

/// The table for people; one line a contender and size.
void print_table(std::FILE* out, const std::vector<Row>& rows);

/// The rows of the waiting policy: a line a think time and placement.
void print_waiting(std::FILE* out, const std::vector<Row>& rows);

/// A list of objects, one a row, numbers unquoted.
std::string to_json(const std::vector<Row>& rows);

}  // namespace bulkhead::bench

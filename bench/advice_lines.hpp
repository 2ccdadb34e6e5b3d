// SPDX-License-Identifier: Apache-2.0
//
// Measured lines: what one message costs by each mechanism on this machine, at some sizes and some
// paces, and what that makes of a size and a pace in between. Values only; measured by
// advice_measuring.hpp, kept by advice_file.hpp, judged by advice.hpp.
//
// Between two measured sizes or paces figures are interpolated on log-log paper, on which both a
// fixed cost and a cost for each byte are straight. Below the smallest size a message costs what the
// smallest does, slower than the slowest pace what it does there: the receiver sleeps before each.
// Beyond the largest size the bandwidth of the largest is what counts.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <bulkhead/address.hpp>

namespace bulkhead::bench {

/// One message, of those sent at a steady pace. Processor time, not time that passes.
struct Pace {
  double rate = 0;  // messages a second, as they really came
  double send_ns = 0;
  double receive_ns = 0;
  std::optional<double> delay_ns{};  // from before it is sent until it is received
};

/// A mechanism at one size: the paces, the slowest first; the last one is as fast as it goes.
struct Line {
  Mechanism mechanism = Mechanism::shm;
  std::size_t bytes = 0;
  std::vector<Pace> paces{};
};

/// Where and by what it was measured; figures of another are worth nothing.
struct Origin {
  std::string machine;
  std::string kernel;
  std::string version;
  std::string date;

  bool same_place(const Origin& other) const {
    return machine == other.machine && kernel == other.kernel && version == other.version;
  }
};

struct Unmeasured {
  Mechanism mechanism = Mechanism::shm;
  std::string why;
};

struct Measurements {
  Origin origin;
  /// Other work kept the cores so busy that many messages were late: a grain of salt is due.
  bool busy = false;
  int cpus = 1;  // that could be used
  std::vector<Line> lines{};
  std::vector<Unmeasured> unmeasured{};
};

struct Estimate {
  double capacity = 0;  // messages a second, as fast as it goes
  double send_ns = 0;
  double receive_ns = 0;
  std::optional<double> delay_ns{};
  bool beyond = false;  // larger than the largest that was measured
};

/// Nothing for a mechanism without a line.
std::optional<Estimate> estimate(const Measurements& measurements, Mechanism mechanism,
                                 std::size_t bytes, double rate);

/// The largest size that was measured; zero without a line.
std::size_t largest_measured(const Measurements& measurements, Mechanism mechanism);

}  // namespace bulkhead::bench

// SPDX-License-Identifier: Apache-2.0
//
// A duel: several contenders in one pair, all of them in turn in slices of a few milliseconds, for
// some tens of rounds, and every comparison made within a round. A virtual machine's host moves its
// cores about within a second, so that two runs one after the other compare two hosts; two slices
// of one round do not.
//
// Where the cache line goes back and forth in every round (the yardstick), rounds in which it took
// more than twice what it takes at best are kept apart: the host had the cores far from each other
// then.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/pair.hpp"

namespace bulkhead::bench {

/// One contender's figures; every number is for one message (one round trip where it goes there and
/// back).
struct Figures {
  std::string failure;                 // why it did not run; empty when it did
  std::vector<double> ns;              // by round, the far ones included
  double median_ns = 0;                // over the near rounds
  double switches = 0;                 // voluntary context switches of both sides
  double cores_burnt = 0;              // processor time of both sides over elapsed time
  std::optional<double> system_calls;  // of both sides, where they can be counted

  bool ran() const noexcept { return failure.empty() && !ns.empty(); }
};

struct Duel {
  std::vector<Figures> figures;  // in the order of the contenders
  std::vector<bool> near;        // by round
  int far_rounds = 0;

  /// Median over the near rounds of what `of` took divided by what `to` took in the same round.
  double ratio(std::size_t of, std::size_t to) const;
};

struct DuelOptions {
  PairOptions pair;
  /// The contender that tells near rounds from far ones, where there is one.
  std::optional<std::size_t> yardstick;
  /// Count system calls in a second pair, over so many messages for each contender; zero: do not.
  std::uint64_t counted_messages = 0;
};

Duel fight(const std::vector<Contender>& contenders, const DuelOptions& options);

double median(std::vector<double> values);

}  // namespace bulkhead::bench

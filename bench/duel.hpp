// SPDX-License-Identifier: Apache-2.0
//
// A duel: several contenders in one pair, all of them in turn in slices of a few milliseconds, for
// some tens of rounds, and every comparison made within a round. A virtual machine's host moves its
// cores about within a second, so that two runs one after the other compare two hosts; two slices
// of one round do not.
//
// Three kinds of rounds are kept apart. Where the cache line goes back and forth in every round (the
// yardstick), those in which it took more than twice what it takes at best: the host had the cores far
// from each other then. Where each side has a core of its own, those in which somebody else was given
// one of them. And where sleeping is measured, those in which one of the two compared did not sleep:
// two sides can fall into step, each finding the answer there when it comes back from waking the other.
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
  std::vector<double> ns;              // by round, those kept apart included
  std::vector<bool> counts;            // by round: it is not kept apart
  double median_ns = 0;                // over the rounds that count
  double switches = 0;                 // context switches of both sides
  double cores_burnt = 0;              // processor time of both sides over elapsed time
  std::optional<double> system_calls;  // of both sides, where they can be counted

  bool ran() const noexcept { return failure.empty() && !ns.empty(); }
};

struct Duel {
  std::vector<Figures> figures;  // in the order of the contenders

  /// Median, over the rounds that count for both, of what `of` took divided by what `to` took.
  double ratio(std::size_t of, std::size_t to) const;
};

struct DuelOptions {
  PairOptions pair;
  /// How many pairs, one after the other, share the rounds. Each has fresh memory: where its pages
  /// lie in the caches is luck, and no contender should keep good or bad luck for a whole duel.
  int pairs = 1;
  /// The contender that tells near rounds from far ones, where there is one.
  std::optional<std::size_t> yardstick;
  /// Both sides are to sleep in every message.
  bool asleep = false;
};

Duel fight(const std::vector<Contender>& contenders, const DuelOptions& options);

double median(std::vector<double> values);

}  // namespace bulkhead::bench

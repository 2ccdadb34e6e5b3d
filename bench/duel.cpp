// SPDX-License-Identifier: Apache-2.0
#include "bench/duel.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>

namespace bulkhead::bench {

namespace {

/// Runs the pair; a contender at which the pair dies is left out and the rest runs again.
PairResult run_survivors(const std::vector<Contender>& contenders, const PairOptions& options) {
  std::vector<std::size_t> alive(contenders.size());
  std::iota(alive.begin(), alive.end(), std::size_t{0});
  PairResult all;
  all.slices.resize(contenders.size());
  all.counted.resize(contenders.size());
  all.failures.resize(contenders.size());
  while (!alive.empty()) {
    std::vector<Contender> present;
    for (const std::size_t i : alive) present.push_back(contenders[i]);
    PairResult result = run_pair(present, options);
    if (result.died_at >= 0) {
      const auto place = alive.begin() + result.died_at;
      all.failures[*place] = result.failures[static_cast<std::size_t>(result.died_at)];
      alive.erase(place);
      continue;
    }
    for (std::size_t k = 0; k < alive.size(); ++k) {
      all.slices[alive[k]] = std::move(result.slices[k]);
      all.counted[alive[k]] = result.counted[k];
      all.failures[alive[k]] = std::move(result.failures[k]);
    }
    break;
  }
  return all;
}

/// All rounds, the pairs' one behind the other; a contender that failed in one has failed.
PairResult run_pairs(const std::vector<Contender>& contenders, const DuelOptions& options) {
  const auto end = std::chrono::steady_clock::now() + options.pair.budget;
  PairOptions share = options.pair;
  share.rounds = std::max(1, options.pair.rounds / options.pairs);
  share.budget = options.pair.budget / options.pairs;
  PairResult all = run_survivors(contenders, share);
  share.counted_messages = 0;
  for (int pair = 1; pair < options.pairs && std::chrono::steady_clock::now() < end; ++pair) {
    const PairResult next = run_survivors(contenders, share);
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      all.slices[i].insert(all.slices[i].end(), next.slices[i].begin(), next.slices[i].end());
      if (all.failures[i].empty()) all.failures[i] = next.failures[i];
    }
  }
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    if (!all.failures[i].empty()) all.slices[i].clear();
  }
  return all;
}

double per_message(std::uint64_t total, const Slice& slice) {
  return static_cast<double>(total) / static_cast<double>(slice.messages);
}

/// Near is at most twice the best tenth: the very best round may be a fluke.
std::vector<bool> near_rounds(const std::vector<double>& yardstick) {
  std::vector<double> sorted = yardstick;
  std::sort(sorted.begin(), sorted.end());
  const double limit = 2 * sorted[sorted.size() / 10];
  std::vector<bool> near;
  for (const double ns : yardstick) near.push_back(ns <= limit);
  return near;
}

/// A round trip in which both sides sleep has two context switches; a few may be missing.
bool slept(const Slice& slice) {
  return per_message(slice.client.switches + slice.server.switches, slice) > 1.8;
}

/// Nobody else was given a side's core.
bool undisturbed(const Slice& slice) {
  return slice.client.preempted + slice.server.preempted == 0;
}

/// Where too little is left, everything counts: a figure with a grain of salt is better than none.
void keep_apart(Figures& figures, const std::vector<bool>& which) {
  const auto left = std::count(which.begin(), which.end(), true);
  if (left * 4 >= std::ssize(which)) figures.counts = which;
}

Figures summarise(const std::vector<Slice>& slices, std::string failure) {
  Figures figures;
  figures.failure = std::move(failure);
  std::uint64_t messages = 0, elapsed = 0, switches = 0, cpu = 0;
  for (const Slice& slice : slices) {
    figures.ns.push_back(per_message(slice.elapsed_ns, slice));
    figures.counts.push_back(true);
    messages += slice.messages;
    elapsed += slice.elapsed_ns;
    switches += slice.client.switches + slice.server.switches;
    cpu += slice.client.cpu_ns + slice.server.cpu_ns;
  }
  if (messages == 0) return figures;
  figures.switches = static_cast<double>(switches) / static_cast<double>(messages);
  figures.cores_burnt = static_cast<double>(cpu) / static_cast<double>(elapsed);
  return figures;
}

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const std::size_t middle = values.size() / 2;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(middle),
                   values.end());
  if (values.size() % 2 != 0) return values[middle];
  const double upper = values[middle];
  return (upper +
          *std::max_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(middle))) /
         2;
}

double Duel::ratio(std::size_t of, std::size_t to) const {
  const Figures& a = figures[of];
  const Figures& b = figures[to];
  std::vector<double> ratios;
  for (std::size_t round = 0; round < a.ns.size(); ++round) {
    if (a.counts[round] && b.counts[round]) ratios.push_back(a.ns[round] / b.ns[round]);
  }
  return ratios.empty() ? a.median_ns / b.median_ns : median(std::move(ratios));
}

Duel fight(const std::vector<Contender>& contenders, const DuelOptions& options) {
  PairResult result = run_pairs(contenders, options);
  Duel duel;
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    duel.figures.push_back(summarise(result.slices[i], std::move(result.failures[i])));
  }
  const bool own_cores = options.pair.placement == Placement::two_cores;
  std::vector<bool> near;
  if (options.yardstick && duel.figures[*options.yardstick].ran()) {
    near = near_rounds(duel.figures[*options.yardstick].ns);
  }
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    Figures& figures = duel.figures[i];
    if (!figures.ran()) continue;
    if (const Slice& slice = result.counted[i]; slice.messages != 0) {
      figures.system_calls = per_message(slice.client.calls + slice.server.calls, slice);
    }
    std::vector<bool> fair = near.empty() ? figures.counts : near;
    for (std::size_t round = 0; round < fair.size(); ++round) {
      const Slice& slice = result.slices[i][round];
      if (own_cores && !undisturbed(slice)) fair[round] = false;
      if (options.asleep && !slept(slice)) fair[round] = false;
    }
    keep_apart(figures, fair);
    std::vector<double> counting;
    for (std::size_t round = 0; round < figures.ns.size(); ++round) {
      if (figures.counts[round]) counting.push_back(figures.ns[round]);
    }
    figures.median_ns = median(std::move(counting));
  }
  return duel;
}

}  // namespace bulkhead::bench

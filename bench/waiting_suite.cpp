// SPDX-License-Identifier: Apache-2.0
#include "bench/waiting_suite.hpp"

#include <array>
#include <chrono>
#include <string>

#include "bench/channel_variant.hpp"
#include "bench/duel.hpp"

namespace bulkhead::bench {

namespace {

using std::chrono::microseconds;

constexpr std::array<int, 7> think_us{0, 5, 20, 50, 100, 300, 1000};
constexpr std::array<Waiting, 3> ways{Waiting::sleep, Waiting::spin, Waiting::learned};
constexpr std::array<const char*, 3> modes{"sleeping", "hot", "adaptive"};

std::string name_of(Placement placement) {
  switch (placement) {
    case Placement::two_cores:
      return "two_cores";
    case Placement::one_core:
      return "one_core";
    case Placement::unpinned:
      return "unpinned";
  }
  return "";
}

Duel fight_for(Placement placement, microseconds think, bool quick) {
  std::vector<std::unique_ptr<Variant>> variants;
  std::vector<Contender> contenders;
  for (const Waiting way : ways) {
    variants.push_back(
        shm_channel({.mode = Mode::hot, .placement = placement, .waiting = way, .think = think}));
    contenders.push_back({.variant = variants.back().get()});
  }
  DuelOptions options;
  options.pair.placement = placement;
  options.pair.rounds = quick ? 6 : 20;
  // Enough round trips in a slice that what was learned in the last one has been tried.
  options.pair.slice_ns = 4'000'000 + 20 * static_cast<std::uint64_t>(think.count()) * 1000;
  return fight(contenders, options);
}

Row row_for(const Duel& duel, std::size_t which, Placement placement, int think) {
  const Figures& figures = duel.figures[which];
  const std::size_t best = duel.figures[0].median_ns < duel.figures[1].median_ns ? 0 : 1;
  Row row;
  row.mechanism = "shm";
  row.api = "channel";
  row.what = "round_trip";
  row.bytes = 64;
  row.mode = modes[which];
  row.cores = cores(placement);
  row.value = figures.median_ns;
  row.unit = "ns";
  row.floor = "better of sleeping and spinning";
  row.floor_value = duel.figures[best].median_ns;
  row.ratio = duel.ratio(which, best);
  row.switches = figures.switches / 2;
  row.think_us = think;
  row.cores_burnt = figures.cores_burnt;
  row.placement = name_of(placement);
  row.rounds = static_cast<int>(figures.ns.size());
  return row;
}

}  // namespace

Suite run_waiting(const SuiteOptions& options) {
  Suite suite;
  for (const Placement placement :
       {Placement::two_cores, Placement::one_core, Placement::unpinned}) {
    if (placement == Placement::two_cores && usable_cpus() < 2) {
      suite.notes.push_back("two cores are left out: only one CPU may be used");
      continue;
    }
    for (const int think : think_us) {
      const Duel duel = fight_for(placement, microseconds{think}, options.quick);
      bool all_ran = true;
      for (std::size_t i = 0; i < ways.size(); ++i) {
        if (duel.figures[i].ran()) continue;
        all_ran = false;
        suite.notes.push_back(name_of(placement) + ", " + std::to_string(think) + " us, " +
                              modes[i] + ", left out: " + duel.figures[i].failure);
      }
      if (!all_ran) continue;
      for (std::size_t i = 0; i < ways.size(); ++i) {
        suite.rows.push_back(row_for(duel, i, placement, think));
      }
    }
  }
  return suite;
}

}  // namespace bulkhead::bench

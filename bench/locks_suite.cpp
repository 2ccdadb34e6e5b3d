// SPDX-License-Identifier: Apache-2.0
#include "bench/locks_suite.hpp"

#include <array>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/duel.hpp"
#include "bench/lock_variant.hpp"

namespace bulkhead::bench {

namespace {

struct Subject {
  LockKind kind;
  const char* name;
  const char* alone;     // what a side does
  const char* together;  // and what both do; null where that is nothing
};
constexpr std::array<Subject, 9> subjects{{
    {LockKind::mutex, "mutex", "lock, unlock", "lock, unlock"},
    {LockKind::shared_mutex, "shared_mutex", "read-lock, unlock", "read-lock, unlock"},
    {LockKind::semaphore, "semaphore", "post, wait", "post, wait for the other's"},
    {LockKind::condition, "condition", nullptr, "tell, wait to be told"},
    {LockKind::barrier, "barrier", "arrive, the only member", "arrive"},
    {LockKind::latch, "latch", "count down", "count down"},
    {LockKind::seqlock_read, "seqlock", "read 64 bytes", "read 64 bytes while they are written"},
    {LockKind::seqlock_write, "seqlock", "write 64 bytes", "write 64 bytes"},
    {LockKind::once, "once", "call, done already", nullptr},
}};

struct Way {
  Company company;
  Kind kind;
  const char* name;
};
constexpr std::array<Way, 3> ways{{{Company::alone, Kind::processes, "alone"},
                                   {Company::together, Kind::threads, "two threads"},
                                   {Company::together, Kind::processes, "two processes"}}};

struct Entrant {
  const char* name;
  std::unique_ptr<Variant> variant;
};

/// The raw one first: the floor of the others.
std::vector<Entrant> entrants(const Subject& subject, const Way& way) {
  std::vector<Entrant> all;
  const auto add = [&](const char* name, std::unique_ptr<Variant> variant) {
    if (variant) all.push_back({name, std::move(variant)});
  };
  add("raw", raw_lock(subject.kind, way.company));
  add("bulkhead", our_lock(subject.kind, way.company));
  add("posix", posix_lock(subject.kind, way.company));
  add("boost", boost_lock(subject.kind, way.company));
  return all;
}

void compare(const Subject& subject, const Way& way, const SuiteOptions& options, Suite& suite) {
  const char* const doing = way.company == Company::alone ? subject.alone : subject.together;
  if (doing == nullptr) return;
  const std::vector<Entrant> all = entrants(subject, way);
  std::vector<Contender> contenders;
  for (const Entrant& one : all) {
    const Shape shape = way.company == Company::alone ? Shape::alone : Shape::round_trip;
    contenders.push_back({one.variant.get(), shape, way.kind});
  }
  const bool apart = way.company == Company::together && usable_cpus() >= 2;
  DuelOptions duel_options;
  duel_options.pair.placement = apart ? Placement::two_cores : Placement::one_core;
  duel_options.pair.rounds = options.quick ? 8 : 40;
  duel_options.pair.slice_ns = 2'000'000;
  duel_options.pairs = options.quick ? 1 : 4;
  const Duel duel = fight(contenders, duel_options);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Figures& figures = duel.figures[i];
    if (!figures.ran()) {
      suite.notes.push_back(
          fmt::format("{} of {}, {}, left out: {}", doing, all[i].name, way.name, figures.failure));
      continue;
    }
    Row row;
    row.mechanism = all[i].name;
    row.api = subject.name;
    row.what = doing;
    row.mode = way.name;
    row.cores = cores(duel_options.pair.placement);
    row.value = figures.median_ns;
    row.unit = "ns";
    row.rounds = static_cast<int>(figures.ns.size());
    if (duel.figures[0].ran()) {
      row.floor = "raw";
      row.floor_value = duel.figures[0].median_ns;
      row.ratio = duel.ratio(i, 0);
    }
    suite.rows.push_back(std::move(row));
  }
}

}  // namespace

Suite run_locks(const SuiteOptions& options) {
  Suite suite;
  for (const Subject& subject : subjects) {
    for (const Way& way : ways) compare(subject, way, options, suite);
  }
  return suite;
}

void print_locks(std::FILE* out, const std::vector<Row>& rows) {
  fmt::print(out, "{:<13} {:<36} {:<14} {:<9} {:>9}   {}\n", "what", "each does", "who", "whose",
             "ns", "x raw");
  const Row* last = nullptr;
  for (const Row& row : rows) {
    const bool same = last && last->what == row.what && last->mode == row.mode;
    fmt::print(out, "{:<13} {:<36} {:<14} {:<9} {:>9.1f}   {:.2f}\n", same ? "" : row.api,
               same ? "" : row.what, same ? "" : row.mode, row.mechanism, row.value, row.ratio);
    last = &row;
  }
  fmt::print(
      out,
      "\nMedians over the rounds, in which all took turns. raw: a futex as short as it can be\n"
      "written, or the C library's with the same guarantee; posix: the C library's without.\n");
}

}  // namespace bulkhead::bench

// SPDX-License-Identifier: Apache-2.0
//
// The census of deaths: every operation of every mechanism, killed at its places (deaths.hpp).
//   crash_census                 the sample that fits CI, with a death in every state
//   crash_census --every         at every instruction; BULKHEAD_SOAK: so many times as many deaths
//   crash_census --only TEXT     operations whose name contains it; may be repeated
//   crash_census --list          their names
// Prints a table, and into crash-census.txt in the present folder as well. Its last line is
// `deaths: N violations: N`; its exit status 0 without violations, 1 with, 77 where processes
// cannot be traced.
#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "crash/crash_report.hpp"
#include "crash/victim.hpp"
#include "support/census.hpp"
#include "support/soak.hpp"
#include "support/watchdog.hpp"

namespace {

using namespace bulkhead::crash;

struct Wish {
  Thoroughness how;
  std::vector<std::string> only;
  bool list = false;

  bool wants(const std::string& name) const {
    return only.empty() || std::ranges::any_of(only, [&](const std::string& part) {
             return name.find(part) != std::string::npos;
           });
  }
  bool thorough() const { return how.every || how.deaths > Thoroughness{}.deaths; }
  bool wants(const Operation& operation) const { return wants(operation.name); }
};

Wish read(int argc, char** argv) {
  Wish wish;
  wish.how.deaths *= static_cast<std::size_t>(bulkhead::test::soaked(1));
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--every") wish.how.every = true;
    if (argument == "--list") wish.list = true;
    if (argument == "--only" && i + 1 < argc) wish.only.emplace_back(argv[++i]);
  }
  return wish;
}

const Operation& named(const std::vector<Operation>& all, const char* name) {
  return *std::ranges::find(all, name, &Operation::name);
}

/// Recovery that dies, after a death that it recovers from.
void take_nested(const Wish& wish, std::vector<Outcome>& outcomes) {
  const auto all = real_operations();
  constexpr const char* mutex = "mutex: lock after a death, repair (recovery)";
  constexpr const char* shared_mutex = "shared mutex: write after a death, repair (recovery)";
  constexpr const char* arena = "arena: allocate after a death (recovery)";
  struct Nest {
    const char* first;
    const char* recovery;
    std::size_t stride = 12;  // in the sample for every build
  };
  // Where both are the same there are three deaths: one before, one in each state of the recovery
  // from it, one in that from both.
  constexpr std::array nests{
      Nest{"file: send", "file: open for append"},
      Nest{"file: close of the writer", "file: open for append"},
      Nest{"mmap: send of 5,000 bytes, aside", "mmap: open, the other is there"},
      Nest{"mutex: lock, change, unlock", mutex, 1},
      Nest{mutex, mutex, 1},
      Nest{"shared mutex: write", shared_mutex, 3},
      Nest{shared_mutex, shared_mutex, 3},
      Nest{"arena: allocate", arena},
      Nest{arena, arena},
  };
  for (const auto& [first, recovery, stride] : nests) {
    if (!wish.wants(named(all, first))) continue;
    const Thoroughness how{
        .deaths = 0, .every = false, .stride = wish.thorough() ? std::size_t{1} : stride};
    outcomes.push_back(explore_recovery(named(all, first), named(all, recovery), how));
    print_row(std::cout, outcomes.back());
    std::cout.flush();
  }
}

/// Two that die, or nearly.
void take_pairs(const Wish& wish, std::vector<Outcome>& outcomes) {
  Thoroughness how{.deaths = 0, .every = false, .stride = 2};
  if (wish.thorough()) how = {.deaths = wish.how.every ? 400 : wish.how.deaths / 4};
  for (const auto& pairing : pairings()) {
    if (!wish.wants(pairing.name)) continue;
    outcomes.push_back(explore_pair(pairing, how));
    print_row(std::cout, outcomes.back());
    std::cout.flush();
  }
}

std::vector<Outcome> take(const Wish& wish) {
  std::vector<Outcome> outcomes;
  print_head(std::cout);
  for (const auto& operation : real_operations()) {
    if (!wish.wants(operation)) continue;
    outcomes.push_back(explore(operation, wish.how));
    print_row(std::cout, outcomes.back());
    std::cout.flush();
  }
  take_pairs(wish, outcomes);
  take_nested(wish, outcomes);
  return outcomes;
}

}  // namespace

int main(int argc, char** argv) {
  const Wish wish = read(argc, argv);
  if (wish.list) {
    for (const auto& operation : real_operations()) std::cout << operation.name << '\n';
    return 0;
  }
  bulkhead::test::prepare_process();
  bulkhead::test::install_watchdog();
  prepare_tracing();
  int status = 77;
  if (const auto why_not = Victim::why_not(); !why_not.empty()) {
    std::cout << "skipped: no process can be traced here: " << why_not << '\n';
    print_sum(std::cout, {});
  } else {
    const auto before = bulkhead::test::Census::take();
    auto outcomes = take(wish);
    const auto left = before.settle(std::chrono::seconds{2});
    if (!left.empty()) {
      outcomes.push_back(
          {.name = "the harness itself", .violations = left.size(), .examples = left});
      print_row(std::cout, outcomes.back());
    }
    std::ofstream file{"crash-census.txt"};
    print_head(file);
    for (const auto& outcome : outcomes) print_row(file, outcome);
    print_sum(file, outcomes);
    print_sum(std::cout, outcomes);
    const bool clean = std::ranges::all_of(
        outcomes, [](const Outcome& outcome) { return outcome.violations == 0; });
    status = clean && !outcomes.empty() ? 0 : 1;
  }
  bulkhead::test::clean_up_process();
  return status;
}

// SPDX-License-Identifier: Apache-2.0
#include "bench/threads_suite.hpp"

#include <array>
#include <exception>
#include <fmt/format.h>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "bench/duel.hpp"
#include "bench/floors.hpp"
#include "bench/overlap.hpp"
#include "bench/service_variant.hpp"
#include "bench/spawn_variant.hpp"
#include "bench/thread_cost.hpp"

namespace bulkhead::bench {

namespace {

/// A function that the compiler does not see through, and a lock that nobody else wants.
class Call : public Variant {
 public:
  enum class What { function, lock };
  explicit Call(What what) : what_(what) {}
  void client(std::uint64_t count) override {
    for (std::uint64_t i = 0; i < count; ++i) {
      if (what_ == What::function) {
        function_(*this);
      } else {
        const std::lock_guard guard{mutex_};
        function_(*this);
      }
    }
  }
  void server(std::uint64_t) override {}

 private:
  static void work(Call& call) { ++call.calls_; }

  What what_;
  std::mutex mutex_;
  std::uint64_t calls_ = 0;
  void (*volatile function_)(Call&) = work;
};

struct Entrant {
  std::string name;
  std::unique_ptr<Variant> variant;
  Shape shape = Shape::alone;
  Kind kind = Kind::processes;
};

class Threads {
 public:
  explicit Threads(bool quick) : quick_(quick) {}

  Suite run() {
    starts();
    switches();
    calls();
    memory();
    locks();
    crowds();
    overlaps();
    return std::move(suite_);
  }

 private:
  static constexpr int rounds = 5;

  /// Rows of a duel; all beside the first.
  void fight_for(const char* what, std::vector<Entrant> entrants, Placement placement,
                 double parts = 1) {
    std::vector<Contender> contenders;
    for (const Entrant& one : entrants) {
      contenders.push_back({one.variant.get(), one.shape, one.kind});
    }
    DuelOptions options;
    options.pair.placement = placement;
    options.pair.rounds = quick_ ? 8 : 30;
    options.pair.slice_ns = 3'000'000;
    const Duel duel = fight(contenders, options);
    for (std::size_t i = 0; i < entrants.size(); ++i) {
      const Figures& figures = duel.figures[i];
      if (!figures.ran()) {
        note(what, entrants[i].name, figures.failure);
        continue;
      }
      Row row = row_of(what, entrants[i].name, figures.median_ns / parts, "ns");
      row.cores = cores(placement);
      if (duel.figures[0].ran()) {
        row.floor = entrants[0].name;
        row.floor_value = duel.figures[0].median_ns / parts;
        row.ratio = duel.ratio(i, 0);
      }
      row.rounds = static_cast<int>(figures.ns.size());
      suite_.rows.push_back(std::move(row));
    }
  }

  void starts() {
    std::vector<Entrant> all;
    all.push_back({"thread", thread_start()});
    all.push_back({"fork", fork_start()});
    all.push_back({"exec", exec_start()});
    all.push_back({"spawn", spawn_start()});
    fight_for("start", std::move(all), Placement::one_core);
  }

  /// Both sides on one core: each raise is a sleep of the one and a switch to the other.
  void switches() {
    std::vector<Entrant> all;
    for (const Kind kind : {Kind::threads, Kind::processes}) {
      all.push_back({kind == Kind::threads ? "threads" : "processes",
                     futex_ping_pong(Placement::one_core), Shape::round_trip, kind});
    }
    fight_for("switch", std::move(all), Placement::one_core, 2);
  }

  void calls() {
    const bool two = usable_cpus() >= 2;
    const Placement placement = two ? Placement::two_cores : Placement::one_core;
    std::vector<Entrant> all;
    all.push_back({"function", std::make_unique<Call>(Call::What::function)});
    all.push_back({"function behind a lock", std::make_unique<Call>(Call::What::lock)});
    all.push_back({"system call", system_call()});
    all.push_back({"other thread, inproc", inproc_service({.placement = placement}),
                   Shape::round_trip, Kind::threads});
    all.push_back({"other process, shm", shm_service({.placement = placement}), Shape::round_trip,
                   Kind::processes});
    all.push_back({"other process, shm, asleep",
                   shm_service({.mode = Mode::sleeping, .placement = placement}), Shape::round_trip,
                   Kind::processes});
    fight_for("call", std::move(all), placement);
  }

  void memory() {
    std::vector<double> figures[4];
    for (int round = 0; round < rounds; ++round) {
      const bool measured = try_to("memory", "", [&] {
        const MemoryOfEach thread = memory_of_thread();
        const MemoryOfEach process = memory_of_process();
        figures[0].push_back(thread.user_bytes);
        figures[1].push_back(thread.kernel_bytes);
        figures[2].push_back(process.user_bytes);
        figures[3].push_back(process.kernel_bytes);
      });
      if (!measured) return;
    }
    for (int kernel = 0; kernel < 2; ++kernel) {
      const double thread = median(figures[kernel]);
      for (int process = 0; process < 2; ++process) {
        Row row = row_of("memory", process ? "process" : "thread",
                         median(figures[2 * process + kernel]), "bytes");
        row.mode = kernel ? "kernel" : "user";
        beside(row, "thread", thread);
        suite_.rows.push_back(std::move(row));
      }
    }
  }

  void locks() {
    constexpr std::array<std::pair<Sharing, const char*>, 3> ways{
        {{Sharing::nothing, "own counters"},
         {Sharing::atomic, "atomic"},
         {Sharing::mutex, "mutex"}}};
    constexpr std::array<unsigned, 3> threads{1, 2, 4};
    std::vector<double> figures[ways.size()][threads.size()];
    for (int round = 0; round < rounds; ++round) {
      for (std::size_t way = 0; way < ways.size(); ++way) {
        for (std::size_t n = 0; n < threads.size(); ++n) {
          try_to("lock", ways[way].second, [&] {
            figures[way][n].push_back(raises_per_second(ways[way].first, threads[n]));
          });
        }
      }
    }
    for (std::size_t way = 0; way < ways.size(); ++way) {
      for (std::size_t n = 0; n < threads.size(); ++n) {
        if (figures[way][n].empty()) continue;
        Row row = row_of("lock", ways[way].second, median(figures[way][n]), "1/s");
        row.batch = threads[n];
        beside(row, "the same, 1 thread", median(figures[way][0]));
        suite_.rows.push_back(std::move(row));
      }
    }
  }

  void crowds() {
    constexpr std::array<unsigned, 6> each{1, 2, 4, 8, 16, 32};
    std::vector<double> units[each.size()];
    std::vector<double> switched[each.size()];
    for (int round = 0; round < rounds; ++round) {
      for (std::size_t i = 0; i < each.size(); ++i) {
        try_to("oversubscription", std::to_string(each[i]), [&] {
          const Crowded crowd = crowded(each[i]);
          units[i].push_back(crowd.units_per_second);
          switched[i].push_back(crowd.switches_per_second);
        });
      }
    }
    for (std::size_t i = 0; i < each.size(); ++i) {
      if (units[i].empty()) continue;
      Row row = row_of("oversubscription", "computing", median(units[i]), "1/s");
      row.batch = each[i];
      row.switches = median(switched[i]);
      beside(row, "1 thread a core", median(units[0]));
      suite_.rows.push_back(std::move(row));
    }
  }

  void overlaps() {
    constexpr std::array all{Readers::one_thread, Readers::threads, Readers::asio,
                             Readers::processes};
    std::vector<double> rates[all.size()];
    std::vector<double> busy[all.size()];
    try_to("overlap", "", [&] {
      Files files{quick_ ? std::size_t{24} : std::size_t{96}, std::size_t{1} << 20};
      if (!files.on_disk()) {
        suite_.notes.push_back("the files to read lie in memory: TMPDIR names a folder on a disk");
      }
      for (int round = 0; round < rounds; ++round) {
        for (std::size_t i = 0; i < all.size(); ++i) {
          const Read read = files.read_by(all[i]);
          rates[i].push_back(read.bytes_per_second);
          busy[i].push_back(read.busy);
        }
      }
    });
    if (rates[all.size() - 1].empty()) return;
    for (std::size_t i = 0; i < all.size(); ++i) {
      Row row = row_of("overlap", std::string{name_of(all[i])}, median(rates[i]) / 1e6, "MB/s");
      row.cores_burnt = median(busy[i]) * usable_cpus();
      beside(row, "one thread", median(rates[0]) / 1e6);
      suite_.rows.push_back(std::move(row));
    }
  }

  Row row_of(const char* what, std::string name, double value, const char* unit) const {
    Row row;
    row.mechanism = std::move(name);
    row.api = "threads";
    row.what = what;
    row.cores = usable_cpus();
    row.value = value;
    row.unit = unit;
    row.rounds = rounds;
    return row;
  }

  static void beside(Row& row, const char* floor, double value) {
    row.floor = floor;
    row.floor_value = value;
    row.ratio = value > 0 ? row.value / value : 0;
  }

  template <class Measure> bool try_to(const char* what, const std::string& of, Measure measure) {
    try {
      measure();
      return true;
    } catch (const std::exception& error) {
      note(what, of, error.what());
      return false;
    }
  }

  void note(const char* what, const std::string& of, const std::string& why) {
    suite_.notes.push_back(
        fmt::format("{}{}{}, left out: {}", what, of.empty() ? "" : " of ", of, why));
  }

  bool quick_;
  Suite suite_;
};

std::string natural(double value, const std::string& unit) {
  const auto in = [](double number, const char* of) {
    return fmt::format("{:.{}f} {}", number, number < 10 ? 2 : number < 100 ? 1 : 0, of);
  };
  if (unit == "ns" && value >= 1e6) return in(value / 1e6, "ms");
  if (unit == "ns" && value >= 1e3) return in(value / 1e3, "us");
  if (unit == "bytes") return in(value / 1024, "KiB");
  if (unit == "1/s" && value >= 1e6) return in(value / 1e6, "M/s");
  if (unit == "1/s" && value >= 1e3) return in(value / 1e3, "k/s");
  return in(value, unit.c_str());
}

struct Section {
  const char* what;
  const char* title;
};
constexpr std::array<Section, 7> sections{{
    {"start", "To start and end one"},
    {"switch", "To switch from one to the other, on one core"},
    {"call", "To call"},
    {"memory", "Memory of each that only waits"},
    {"lock", "A counter raised by several threads, all together"},
    {"oversubscription", "Computing by more threads than cores, all together"},
    {"overlap", "Files read and hashed"},
}};

std::string name_in(const Row& row) {
  if (row.what == "memory") return row.mechanism + ", " + row.mode;
  if (row.what == "lock")
    return fmt::format("{}, {} thread{}", row.mechanism, row.batch, row.batch == 1 ? "" : "s");
  if (row.what == "oversubscription") return fmt::format("{} a core", row.batch);
  return row.mechanism;
}

}  // namespace

Suite run_threads(const SuiteOptions& options) { return Threads{options.quick}.run(); }

void print_threads(std::FILE* out, const std::vector<Row>& rows) {
  for (const Section& section : sections) {
    bool begun = false;
    for (const Row& row : rows) {
      if (row.what != section.what) continue;
      if (!begun) fmt::print(out, "\n{}\n", section.title);
      begun = true;
      fmt::print(out, "  {:<28} {:>12}   {:>8.2f} x {}", name_in(row), natural(row.value, row.unit),
                 row.ratio, row.floor);
      if (row.switches) fmt::print(out, "   {:.0f} switches a second", *row.switches);
      if (row.cores_burnt)
        fmt::print(out, "   {:.0f} % of {} CPUs busy", *row.cores_burnt / row.cores * 100,
                   row.cores);
      fmt::print(out, "\n");
    }
  }
  fmt::print(out, "\nMedians over the rounds; what is compared took turns in each.\n");
}

}  // namespace bulkhead::bench

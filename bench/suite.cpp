// SPDX-License-Identifier: Apache-2.0
#include "bench/suite.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include "bench/channel_variant.hpp"
#include "bench/duel.hpp"
#include "bench/floors.hpp"
#include "bench/job.hpp"
#include "bench/spawn_variant.hpp"

namespace bulkhead::bench {

namespace {

constexpr std::array<std::size_t, 3> round_trip_sizes{64, 4096, 65536};
constexpr std::array<std::size_t, 4> one_way_sizes{64, 4096, 65536, 1048576};

/// One contender of a duel and what its row will say of it.
struct Entry {
  std::string mechanism;
  std::string api;
  std::unique_ptr<Variant> variant;
  std::size_t bytes = 0;
  Shape shape = Shape::round_trip;
  Kind kind = Kind::processes;
  bool through_kernel = false;
  std::size_t batch = 1;
  std::size_t offset = 0;
  bool reported = true;  // else it is there for comparison only
};

class Bench {
 public:
  explicit Bench(const SuiteOptions& options)
      : options_{options}, counting_{CallCounter::available()} {
    if (!counting_)
      note(
          "system calls are not counted: that needs root, or readable trace points and perf "
          "events");
    if (usable_cpus() < 2) note("rows for two cores are left out: only one CPU may be used");
  }

  void run() {
    floors();
    starts();
    for (const Placement placement : {Placement::two_cores, Placement::one_core}) {
      if (placement == Placement::two_cores && usable_cpus() < 2) continue;
      for (const Mode mode : {Mode::hot, Mode::sleeping}) {
        for (const std::size_t bytes : round_trip_sizes) {
          round_trip({.bytes = bytes, .mode = mode, .placement = placement});
        }
      }
    }
    if (usable_cpus() < 2) return;
    for (const Mode mode : {Mode::copied, Mode::in_place}) {
      for (const std::size_t bytes : one_way_sizes) {
        one_way({.shape = Shape::one_way, .bytes = bytes, .mode = mode});
      }
    }
  }

  Suite finish() {
    std::stable_sort(suite_.rows.begin(), suite_.rows.end(), [](const Row& a, const Row& b) {
      return std::tie(a.what, a.mode, a.bytes) < std::tie(b.what, b.mode, b.bytes);
    });
    return std::move(suite_);
  }

 private:
  void floors();
  void starts();
  void round_trip(const Job& job);
  void one_way(const Job& job);

  void note(std::string text) { suite_.notes.push_back(std::move(text)); }
  bool wanted(std::string_view mechanism) const {
    return options_.only.empty() ||
           std::ranges::find(options_.only, mechanism) != options_.only.end();
  }
  std::vector<Entry> contenders(const Job& job) const;
  void add_special_channels(std::vector<Entry>& entries, Job job) const;
  Duel fight(const std::vector<Entry>& entries, const Job& job,
             std::optional<std::size_t> yardstick = std::nullopt);
  Row row_for(const Entry& entry, const Figures& figures, const Job& job, const char* what) const;
  void emit_rate(Row row, double floor_ns, double ns, double ratio);

  /// What is left of the time of a quick run, shared by the duels that are left. A busy machine gets
  /// fewer rounds, not a longer run.
  std::chrono::nanoseconds share_of_time() {
    const auto left = quick_end_ - Clock::now();
    const int duels = std::max(1, duels_left_--);
    return std::max<std::chrono::nanoseconds>(left / duels * 2 / 3, std::chrono::milliseconds{100});
  }

  using Clock = std::chrono::steady_clock;

  SuiteOptions options_;
  bool counting_;
  Clock::time_point quick_end_ = Clock::now() + std::chrono::seconds{18};
  int duels_left_ = 22;
  Suite suite_;
};

/// The place of a contender in its duel, or the number of contenders when it has none or did not
/// run.
std::size_t place_of(const std::vector<Entry>& entries, const Duel& duel,
                     std::string_view mechanism, std::string_view api) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].mechanism == mechanism && entries[i].api == api && duel.figures[i].ran())
      return i;
  }
  return entries.size();
}

std::optional<double> ratio_if(const Duel& duel, std::size_t of, std::size_t to) {
  if (to >= duel.figures.size()) return std::nullopt;
  return duel.ratio(of, to);
}

std::vector<Entry> Bench::contenders(const Job& job) const {
  std::vector<Entry> entries;
  for (const Subject& subject : subjects()) {
    if (subject.api != "ring" && !wanted(subject.mechanism)) continue;
    auto variant = subject.make(job);
    if (!variant) continue;
    entries.push_back({.mechanism = subject.mechanism,
                       .api = subject.api,
                       .variant = std::move(variant),
                       .bytes = job.bytes,
                       .shape = job.shape,
                       .kind = subject.kind,
                       .through_kernel = subject.through_kernel});
  }
  return entries;
}

/// Channels that differ in one thing: small messages in batches, and a buffer where memcpy may be slow.
void Bench::add_special_channels(std::vector<Entry>& entries, Job job) const {
  if (job.mode != Mode::copied) return;
  if (job.bytes == 64) {
    Job batches = job;
    batches.batch = 32;
    std::vector<Entry> batched = contenders(batches);
    std::erase_if(batched, [](const Entry& entry) { return entry.api != "channel"; });
    for (Entry& entry : batched) {
      entry.batch = batches.batch;
      entries.push_back(std::move(entry));
    }
  }
  if (job.bytes != 4096 || !wanted("shm")) return;
  const auto add = [&] {
    entries.push_back({.mechanism = "shm",
                       .api = "channel",
                       .variant = shm_channel(job),
                       .bytes = job.bytes,
                       .shape = job.shape,
                       .offset = job.offset});
  };
  for (job.offset = 8; job.offset <= 2048; job.offset *= 4) add();
  job.offset = 63;
  add();
}

Duel Bench::fight(const std::vector<Entry>& entries, const Job& job,
                  std::optional<std::size_t> yardstick) {
  const bool slow = job.mode == Mode::sleeping || job.placement == Placement::one_core;
  DuelOptions options;
  options.pair.placement = job.placement;
  options.pair.rounds = options_.quick ? (slow ? 16 : 30) : (slow ? 40 : 60);
  options.pair.slice_ns = (options_.quick ? 1'000'000u : 4'000'000u) * (slow ? 2u : 1u);
  options.pairs = options_.quick ? 2 : 5;
  if (options_.quick) options.pair.budget = share_of_time();
  options.yardstick = yardstick;
  options.asleep = job.shape == Shape::round_trip && job.mode == Mode::sleeping;
  if (counting_)
    options.pair.counted_messages = job.bytes >= 1048576         ? 20
                                    : job.mode == Mode::sleeping ? 100
                                                                 : 500;

  std::vector<Contender> contenders;
  for (const Entry& entry : entries)
    contenders.push_back({entry.variant.get(), entry.shape, entry.kind});
  Duel duel = bench::fight(contenders, options);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (duel.figures[i].failure.empty()) continue;
    note(entries[i].mechanism + " " + entries[i].api + ", " + std::to_string(job.bytes) +
         " bytes, " + std::string{name_of(job.mode)} + ", left out: " + duel.figures[i].failure);
  }
  return duel;
}

Row Bench::row_for(const Entry& entry, const Figures& figures, const Job& job,
                   const char* what) const {
  // A round trip is two messages.
  const double messages = entry.shape == Shape::round_trip ? 2 : 1;
  Row row;
  row.mechanism = entry.mechanism;
  row.api = entry.api;
  row.what = what;
  row.bytes = entry.bytes;
  row.mode = name_of(job.mode);
  row.cores = cores(job.placement);
  row.value = figures.median_ns;
  row.unit = "ns";
  row.batch = entry.batch;
  row.offset = entry.offset;
  row.switches = figures.switches / messages;
  if (figures.system_calls) row.system_calls = *figures.system_calls / messages;
  row.rounds = static_cast<int>(std::ranges::count(figures.counts, true));
  row.rounds_apart = static_cast<int>(std::ranges::count(figures.counts, false));
  return row;
}

/// A rate makes two rows: messages and bytes.
void Bench::emit_rate(Row row, double floor_ns, double ns, double ratio) {
  row.ratio = ratio;
  row.value = 1e9 / ns;
  row.floor_value = 1e9 / floor_ns;
  row.unit = "messages/s";
  suite_.rows.push_back(row);
  const double giga = static_cast<double>(row.bytes) / 1e9;
  row.value *= giga;
  row.floor_value *= giga;
  row.unit = "GB/s";
  suite_.rows.push_back(std::move(row));
}

void Bench::floors() {
  const Job job{.shape = Shape::alone, .mode = Mode::hot, .placement = Placement::one_core};
  std::vector<Entry> entries;
  entries.push_back(
      {.mechanism = "syscall", .api = "raw", .variant = system_call(), .shape = Shape::alone});
  for (const std::size_t bytes : one_way_sizes) {
    entries.push_back({.mechanism = "memcpy",
                       .api = "raw",
                       .variant = memory_copy(bytes),
                       .bytes = bytes,
                       .shape = Shape::alone});
  }
  const Duel duel = fight(entries, job);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!duel.figures[i].ran()) continue;
    Row row = row_for(entries[i], duel.figures[i], job, i == 0 ? "round_trip" : "one_way");
    row.floor = entries[i].mechanism;
    row.floor_value = row.value;
    row.ratio = 1;
    if (i == 0) {
      suite_.rows.push_back(std::move(row));
    } else {
      row.mode = name_of(Mode::copied);
      emit_rate(std::move(row), duel.figures[i].median_ns, duel.figures[i].median_ns, 1);
    }
  }
}

void Bench::starts() {
  const Job job{.shape = Shape::alone, .mode = Mode::sleeping, .placement = Placement::one_core};
  std::vector<Entry> entries;
  entries.push_back(
      {.mechanism = "exec", .api = "raw", .variant = exec_start(), .shape = Shape::alone});
  entries.push_back(
      {.mechanism = "fork", .api = "raw", .variant = fork_start(), .shape = Shape::alone});
  entries.push_back(
      {.mechanism = "thread", .api = "raw", .variant = thread_start(), .shape = Shape::alone});
  entries.push_back(
      {.mechanism = "process", .api = "channel", .variant = spawn_start(), .shape = Shape::alone});
  const Duel duel = fight(entries, job);
  if (!duel.figures[0].ran()) return;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!duel.figures[i].ran()) continue;
    Row row = row_for(entries[i], duel.figures[i], job, "start");
    row.floor = "exec";
    row.floor_value = duel.figures[0].median_ns;
    row.ratio = duel.ratio(i, 0);
    suite_.rows.push_back(std::move(row));
  }
}

void Bench::round_trip(const Job& job) {
  const bool hot = job.mode == Mode::hot;
  const bool far_apart = hot && job.placement == Placement::two_cores;
  std::vector<Entry> entries = contenders(job);
  const auto add_floor = [&](std::unique_ptr<Variant> variant) {
    entries.push_back({.mechanism = hot ? "cache_line" : "futex",
                       .api = "raw",
                       .variant = std::move(variant),
                       .bytes = hot ? 64u : 4u});
  };
  const std::size_t first_floor = entries.size();
  add_floor(hot ? cache_line(job.placement) : futex_ping_pong(job.placement));
  if (far_apart) add_floor(cache_line_with_pauses());

  const Duel duel = fight(entries, job, far_apart ? std::optional{first_floor} : std::nullopt);
  std::size_t floor = first_floor;
  for (std::size_t i = first_floor; i < entries.size(); ++i) {
    if (!duel.figures[i].ran()) return;
    if (duel.figures[i].median_ns < duel.figures[floor].median_ns) floor = i;
  }
  const std::size_t ring = place_of(entries, duel, "shm", "ring");
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    if (!duel.figures[i].ran()) continue;
    // A floor is told once, in the duel of the smallest messages.
    if (i >= first_floor && (i != floor || job.bytes != round_trip_sizes[0])) continue;
    Row row = row_for(entry, duel.figures[i], job, "round_trip");
    row.floor = entries[floor].mechanism;
    row.floor_value = duel.figures[floor].median_ns;
    row.ratio = duel.ratio(i, floor);
    if (hot) row.ratio_ring = ratio_if(duel, i, ring);
    if (entry.through_kernel)
      row.ratio_raw = ratio_if(duel, i, place_of(entries, duel, entry.mechanism, "raw"));
    if (entry.api == "service") {
      row.ratio_channel = ratio_if(duel, i, place_of(entries, duel, entry.mechanism, "channel"));
    }
    suite_.rows.push_back(std::move(row));
  }
}

void Bench::one_way(const Job& job) {
  std::vector<Entry> entries = contenders(job);
  add_special_channels(entries, job);
  entries.insert(entries.begin(), {.mechanism = "cache_line",
                                   .api = "raw",
                                   .variant = cache_line(job.placement),
                                   .reported = false});
  const Duel duel = fight(entries, job, 0);
  const std::size_t ring = place_of(entries, duel, "shm", "ring");
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    if (!entry.reported || !duel.figures[i].ran()) continue;
    const std::size_t floor =
        entry.through_kernel ? place_of(entries, duel, entry.mechanism, "raw") : ring;
    if (floor >= entries.size()) continue;
    Row row = row_for(entry, duel.figures[i], job, "one_way");
    row.floor = entry.through_kernel ? entry.mechanism + "_raw" : "ring";
    if (entry.api == "service") {
      const std::size_t channel = place_of(entries, duel, entry.mechanism, "channel");
      if (channel < entries.size()) row.ratio_channel = duel.ratio(channel, i);
    }
    emit_rate(std::move(row), duel.figures[floor].median_ns, duel.figures[i].median_ns,
              duel.ratio(floor, i));
  }
}

}  // namespace

Suite run_suite(const SuiteOptions& options) {
  Bench bench{options};
  bench.run();
  return bench.finish();
}

}  // namespace bulkhead::bench

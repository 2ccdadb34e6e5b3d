// SPDX-License-Identifier: Apache-2.0
//
// `bulkhead locks`: who has which lock and who waits for it, in all running programs of this user
// that diagnose their locks.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <string>

#include <bulkhead/diagnosing.hpp>

#include "tools/bulkhead/verb.hpp"

namespace bulkhead::tools {
namespace {

using nlohmann::json;
using Use = LockReport::Use;
using Seen = LockReport::Seen;

std::string in_words(std::chrono::nanoseconds time) {
  const double seconds = std::chrono::duration<double>(time).count();
  if (seconds < 1e-3) return fmt::format("{:.0f} us", seconds * 1e6);
  if (seconds < 1) return fmt::format("{:.0f} ms", seconds * 1e3);
  return seconds < 100 ? fmt::format("{:.1f} s", seconds) : fmt::format("{:.0f} s", seconds);
}

double in_seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

std::string in_words(const LockReport::Lock& lock) {
  return lock.name.empty() ? fmt::format("{:x}+0x{:x}", lock.region, lock.offset) : lock.name;
}

std::string in_words(const LockReport::Thread& who) {
  return who.process == who.thread ? fmt::format("{} ({})", who.program, who.process)
                                   : fmt::format("{} ({}), thread {}{}{}", who.program, who.process,
                                                 who.thread, who.name.empty() ? "" : " ", who.name);
}

std::string in_words(const std::string& file, std::uint32_t line) {
  return fmt::format("{}:{}", file.substr(file.rfind('/') + 1), line);
}

std::string notes_of(const Use& use) {
  std::string notes;
  const auto add = [&notes](const std::string& note) {
    notes += (notes.empty() ? "" : ", ") + note;
  };
  if (use.depth > 1) add(fmt::format("{} times", use.depth));
  if (use.passed_over != 0) add(fmt::format("passed over {} times", use.passed_over));
  if (use.left) {
    add(use.left->count() > 0 ? in_words(*use.left) + " left" : "its deadline is over");
  }
  return notes;
}

/// Columns as wide as what is in them.
class Table {
 public:
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  void print() const {
    std::vector<std::size_t> widths(rows_.front().size());
    for (const auto& row : rows_) {
      for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    for (const auto& row : rows_) {
      std::string line;
      for (std::size_t i = 0; i < row.size(); ++i) {
        line += fmt::format("{:{}}  ", row[i], widths[i]);
      }
      fmt::print("{}\n", line.substr(0, line.find_last_not_of(' ') + 1));
    }
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

json as_json(const LockReport::Thread& who) {
  return {{"pid", who.process}, {"program", who.program}, {"tid", who.thread}, {"name", who.name}};
}

json as_json(const LockReport::Lock& lock) {
  return {
      {"name", lock.name}, {"region", fmt::format("{:x}", lock.region)}, {"offset", lock.offset}};
}

json as_json(const std::vector<Use>& uses) {
  json rows = json::array();
  for (const Use& use : uses) {
    rows.push_back({{"who", as_json(use.who)},
                    {"file", use.file},
                    {"line", use.line},
                    {"shared", use.shared},
                    {"depth", use.depth},
                    {"seconds", in_seconds(use.lasts)},
                    {"seconds_left", use.left ? json(in_seconds(*use.left)) : json()},
                    {"passed_over", use.passed_over}});
  }
  return rows;
}

class Locks : public Verb {
 public:
  explicit Locks(CLI::App& app)
      : command_{app.add_subcommand("locks", "Show who has which lock and who waits for it")} {
    command_->add_flag("--waiting", waiting_, "Only locks that somebody waits for");
    command_->add_flag("--json", json_, "Print JSON instead of tables");
    command_->footer(
        "Of all running programs of this user that diagnose their locks: that call\n"
        "diagnose_locks(), or were started with BULKHEAD_DIAGNOSE_LOCKS=1, with the same runtime\n"
        "directory (XDG_RUNTIME_DIR). Then what was seen since each began: the longest waits,\n"
        "threads that waited for one of lower priority, and threads that waited while others got\n"
        "the lock more than a hundred times. The status is 0 unless a board could not be read.");
  }

  bool chosen() const override { return command_->parsed(); }

  int run() override {
    auto report = report_locks();
    if (!report) {
      fmt::print(stderr, "bulkhead locks: {}\n", report.error().sentence());
      return 1;
    }
    if (waiting_) {
      std::erase_if(report->locks,
                    [](const LockReport::State& state) { return state.waiters.empty(); });
    }
    json_ ? print_json(*report) : print_tables(*report);
    for (const std::string& path : report->unreadable) {
      fmt::print(stderr, "bulkhead locks: {}: it is damaged or of another version of Bulkhead\n",
                 path);
    }
    return report->unreadable.empty() ? 0 : 1;
  }

 private:
  static void print_tables(const LockReport& report) {
    if (report.processes.empty()) {
      fmt::print("no program diagnoses its locks\n");
      return;
    }
    print_locks(report);
    print_seen(report);
    for (const LockReport::Process& process : report.processes) {
      if (process.unseen == 0) continue;
      fmt::print("\n{} ({}): {} threads or locks are not shown: no room, or its board was cut\n",
                 process.program, process.process, process.unseen);
    }
  }

  static void print_locks(const LockReport& report) {
    if (report.locks.empty()) {
      fmt::print("nobody has a lock; programs that diagnose: {}\n", report.processes.size());
      return;
    }
    Table table;
    table.add({"lock", "", "who", "for", "line", ""});
    for (const LockReport::State& state : report.locks) {
      for (const Use& use : state.owners) {
        table.add({in_words(state.lock), use.shared ? "read by" : "has", in_words(use.who),
                   in_words(use.lasts), in_words(use.file, use.line), notes_of(use)});
      }
      for (const Use& use : state.waiters) {
        table.add({in_words(state.lock), use.shared ? "waits to read" : "waits", in_words(use.who),
                   in_words(use.lasts), in_words(use.file, use.line), notes_of(use)});
      }
    }
    table.print();
  }

  static void print_seen(const LockReport& report) {
    if (report.seen.empty()) return;
    fmt::print("\n");
    Table table;
    table.add({"seen", "lock", "longest", "times", "who", "line", ""});
    for (const Seen& seen : report.seen) {
      const std::string note =
          seen.kind == Seen::Kind::inversion ? fmt::format("waited for thread {}", seen.whom)
          : seen.passed_over != 0            ? fmt::format("passed over {} times", seen.passed_over)
                                             : "";
      table.add({std::string{to_string(seen.kind)}, in_words(seen.lock), in_words(seen.longest),
                 std::to_string(seen.times), in_words(seen.who), in_words(seen.file, seen.line),
                 note});
    }
    table.print();
  }

  static void print_json(const LockReport& report) {
    json all{{"processes", json::array()},
             {"locks", json::array()},
             {"seen", json::array()},
             {"unreadable", report.unreadable}};
    for (const LockReport::Process& process : report.processes) {
      all["processes"].push_back({{"pid", process.process},
                                  {"program", process.program},
                                  {"threads", process.threads},
                                  {"unseen", process.unseen}});
    }
    for (const LockReport::State& state : report.locks) {
      all["locks"].push_back({{"lock", as_json(state.lock)},
                              {"owners", as_json(state.owners)},
                              {"waiters", as_json(state.waiters)}});
    }
    for (const Seen& seen : report.seen) {
      all["seen"].push_back({{"what", to_string(seen.kind)},
                             {"lock", as_json(seen.lock)},
                             {"who", as_json(seen.who)},
                             {"file", seen.file},
                             {"line", seen.line},
                             {"longest_seconds", in_seconds(seen.longest)},
                             {"times", seen.times},
                             {"passed_over", seen.passed_over},
                             {"whom", seen.whom}});
    }
    // Names are anybody's bytes.
    fmt::print("{}\n", all.dump(2, ' ', false, json::error_handler_t::replace));
  }

  CLI::App* command_;
  bool waiting_ = false;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Verb> locks_verb(CLI::App& app) { return std::make_unique<Locks>(app); }

}  // namespace bulkhead::tools

// SPDX-License-Identifier: Apache-2.0
//
// porthole-bench: what the processes of a browser cost, beside the same engine in one process. Run
// by `bulkhead bench --porthole`; the real program beside it is what is measured, from outside.
//
//   porthole-bench [--quick] [--json FILE]
//
// First paint is the time from the command to its answer, which comes when the page is painted. The
// floor is the same page drawn by the same engine in this process, in the same round. A process's
// figures come from /proc.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>
#include <unistd.h>
#include <vector>

#include <bulkhead/result.hpp>

#include "bench/driven_browser.hpp"
#include "bench/row.hpp"
#include "renderer/in_process.hpp"
#include "renderer/manual.hpp"

namespace porthole::bench {
namespace {

using bulkhead::Result;
using bulkhead::bench::Row;

constexpr Size window{1280, 696};  // of the page in a window of 1280 x 800
constexpr int tabs_for_memory = 10;

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// A folder that goes with this object.
class Pages {
 public:
  Pages() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "porthole-bench-XXXXXX").string();
    if (::mkdtemp(pattern.data()) != nullptr) folder_ = pattern;
  }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages() {
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }

  std::string add(const std::string& name, const std::string& html) const {
    const auto file = folder_ / name;
    std::ofstream{file} << html;
    return file.string();
  }

 private:
  std::filesystem::path folder_;
};

/// A number behind "name:" in a file of /proc; 0 when it is not there.
double number_in(const std::string& file, const std::string& name) {
  std::ifstream in{file};
  for (std::string word; in >> word;) {
    if (word != name + ":") continue;
    double value = 0;
    in >> value;
    return value;
  }
  return 0;
}

std::string proc(pid_t pid, const char* file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

class Bench {
 public:
  Bench(std::string program, bool quick) : program_(std::move(program)), rounds_(quick ? 5 : 15) {}

  Result<std::vector<Row>> run() {
    BULKHEAD_TRY(first_paint("short.html", short_page_bytes));
    BULKHEAD_TRY(first_paint("manual.html", manual_bytes));
    BULKHEAD_TRY(death_and_reload());
    BULKHEAD_TRY(memory_of_a_tab());
    BULKHEAD_TRY(bytes_of_a_frame());
    return std::move(rows_);
  }

 private:
  Row& add(const char* what, const char* mode, std::size_t bytes, std::vector<double> values,
           const char* unit) {
    Row& row = rows_.emplace_back();
    row.mechanism = "porthole";
    row.api = "browser";
    row.what = what;
    row.bytes = bytes;
    row.mode = mode;
    row.value = median(std::move(values));
    row.unit = unit;
    row.rounds = rounds_;
    return row;
  }

  void compare(Row& row, const std::vector<double>& values, const std::vector<double>& floors) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < values.size(); ++i) ratios.push_back(values[i] / floors[i]);
    row.floor = "in_process";
    row.floor_value = median(floors);
    row.ratio = median(std::move(ratios));
  }

  /// In a renderer that is there already, and in one that has to be started.
  Result<void> first_paint(const char* name, std::size_t bytes) {
    const std::string html = make_manual(bytes);
    const std::string page = pages_.add(name, html);
    const std::string empty = pages_.add("empty.html", "<p>empty</p>");
    auto browser = BULKHEAD_TRY(DrivenBrowser::start(program_, {empty}));
    std::vector<double> ready;
    std::vector<double> started;
    std::vector<double> floors;
    for (int round = 0; round < rounds_; ++round) {
      floors.push_back(static_cast<double>(draw_in_this_process(html, window).total().count()));
      BULKHEAD_TRY(browser.obey("end 1"));
      const auto cold = BULKHEAD_TRY(browser.obey("go 1 " + page));
      started.push_back(static_cast<double>(cold.count()));
      BULKHEAD_TRY(browser.obey("end 1"));
      BULKHEAD_TRY(browser.obey("go 1 " + empty));
      const auto warm = BULKHEAD_TRY(browser.obey("go 1 " + page));
      ready.push_back(static_cast<double>(warm.count()));
    }
    compare(add("first_paint", "ready", html.size(), ready, "ns"), ready, floors);
    compare(add("first_paint", "started", html.size(), started, "ns"), started, floors);
    return {};
  }

  Result<void> death_and_reload() {
    const std::string html = make_manual(short_page_bytes);
    auto browser = BULKHEAD_TRY(DrivenBrowser::start(program_, {pages_.add("victim.html", html)}));
    std::vector<double> deaths;
    std::vector<double> reloads;
    for (int round = 0; round < rounds_; ++round) {
      const auto renderers = BULKHEAD_TRY(browser.pids("renderer"));
      if (renderers.empty()) break;
      deaths.push_back(
          static_cast<double>(BULKHEAD_TRY(browser.kill_and_hear(renderers.front())).count()));
      reloads.push_back(static_cast<double>(BULKHEAD_TRY(browser.obey("reload 1")).count()));
    }
    add("sad_tab", "", 0, deaths, "ns");
    add("reload", "started", html.size(), reloads, "ns");
    return {};
  }

  Result<void> memory_of_a_tab() {
    const std::string page = pages_.add("tab.html", make_manual(short_page_bytes));
    auto browser = BULKHEAD_TRY(DrivenBrowser::start(program_, std::vector(tabs_for_memory, page)));
    const auto renderers = BULKHEAD_TRY(browser.pids("renderer"));
    std::vector<double> shares;
    for (const pid_t pid : renderers) {
      shares.push_back(1024 * number_in(proc(pid, "smaps_rollup"), "Pss"));
    }
    add("memory_per_tab", "pss", short_page_bytes, shares, "bytes");
    return {};
  }

  /// What renderer and gpu process put through descriptors for a frame: pixels would be millions.
  Result<void> bytes_of_a_frame() {
    const std::string html = make_manual(manual_bytes);
    auto browser =
        BULKHEAD_TRY(DrivenBrowser::start(program_, {pages_.add("scrolled.html", html)}));
    std::vector<pid_t> both = BULKHEAD_TRY(browser.pids("renderer"));
    for (const pid_t pid : BULKHEAD_TRY(browser.pids("gpu"))) both.push_back(pid);
    const auto written = [&] {
      double sum = 0;
      for (const pid_t pid : both) sum += number_in(proc(pid, "io"), "wchar");
      return sum;
    };
    std::vector<double> each;
    for (int round = 0; round < rounds_; ++round) {
      const double before = written();
      BULKHEAD_TRY(browser.obey("scroll 1 " + std::to_string(900 * (round + 1))));
      each.push_back(written() - before);
    }
    add("bytes_written_per_frame", "scrolled", html.size(), each, "bytes");
    return {};
  }

  const std::string program_;
  const int rounds_;
  const Pages pages_;
  std::vector<Row> rows_;
};

int measure(bool quick, const std::string& json) {
  std::error_code unknown;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", unknown);
  Bench bench{(self.parent_path() / "porthole").string(), quick};
  const auto rows = bench.run();
  if (!rows) {
    std::cerr << "porthole-bench: " << rows.error() << '\n';
    return EXIT_FAILURE;
  }
  const std::string text = bulkhead::bench::to_json(*rows);
  if (json == "-") {
    std::cout << text;
    return EXIT_SUCCESS;
  }
  bulkhead::bench::print_table(stdout, *rows);
  if (json.empty()) return EXIT_SUCCESS;
  std::ofstream file{json};
  file << text << std::flush;
  if (file) return EXIT_SUCCESS;
  std::cerr << "porthole-bench: " << json << " cannot be written\n";
  return EXIT_FAILURE;
}

}  // namespace
}  // namespace porthole::bench

int main(int argc, char** argv) {
  CLI::App app{"What the processes of a browser cost, beside the same engine in one process"};
  bool quick = false;
  std::string json;
  app.add_flag("--quick", quick, "Fewer rounds");
  app.add_option("--json", json, "Write the rows as JSON to FILE; - is standard output");
  CLI11_PARSE(app, argc, argv);
  return porthole::bench::measure(quick, json);
}

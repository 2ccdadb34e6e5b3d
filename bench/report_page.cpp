// SPDX-License-Identifier: Apache-2.0
#include "bench/report_page.hpp"

#include <algorithm>
#include <array>
#include <ctime>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <sys/utsname.h>

#include "bench/placement.hpp"
#include "bench/plot.hpp"

namespace bulkhead::bench {

namespace {

constexpr const char* style = R"(
body { margin: 0; background: #eef2f5; color: #1d2b38; line-height: 1.5;
       font-family: "DejaVu Sans", Verdana, sans-serif; font-size: 15px; }
.band { background: #17405a; color: #ffffff; padding: 26px 0 22px 0; }
.frame { width: 1080px; margin: 0 auto; }
.name { font-size: 28px; font-weight: bold; }
.claim { color: #bcd4e2; margin: 4px 0 0 0; }
.sheet { background: #ffffff; border: 1px solid #d3dde5; border-radius: 8px;
         padding: 20px 29px 24px 29px; margin: 22px 0 0 0; }
h2 { font-size: 19px; margin: 0 0 8px 0; color: #17405a; }
p { margin: 0 0 14px 0; }
.small { font-size: 13px; color: #5c6f7d; }
.plot { margin: 18px 0 0 0; }
table { border-collapse: collapse; font-size: 13px; width: 100%; margin: 0 0 10px 0; }
th { background: #e3ebf1; color: #17405a; padding: 6px 8px; border: 1px solid #d3dde5; }
td { padding: 5px 8px; border: 1px solid #d3dde5; text-align: right; }
td.key { text-align: left; font-weight: bold; background: #f6f9fb; }
td.word { text-align: left; }
td.good { background: #dff1e5; }
td.near { background: #fdf3d8; }
td.bad { background: #f9dfdb; }
)";

/// One hue a family, the second of it paler.
struct Look {
  const char* mechanism;
  const char* colour;
  bool dashed;
};
constexpr std::array looks{
    Look{"shm", "#c2410c", false},  Look{"inproc", "#8d6e63", true},
    Look{"unix", "#1d4ed8", false}, Look{"unix_stream", "#5b93f5", true},
    Look{"pipe", "#15803d", false}, Look{"fifo", "#65a30d", true},
    Look{"tcp", "#7e22ce", false},  Look{"udp", "#b36be8", true},
    Look{"mq", "#0f766e", false},   Look{"sysv", "#14b8a6", true},
    Look{"mmap", "#a16207", false}, Look{"file", "#ca9a04", true},
};
constexpr const char* raw_colour = "#b3c1cc";
constexpr const char* channel_colour = "#23678a";
constexpr const char* batch_colour = "#e39a2d";

/// The bars that the library set itself; for a Channel beside its own raw calls.
constexpr double most_for_a_round_trip = 1.15;
constexpr double least_of_throughput = 1.0;
constexpr double least_of_batches = 2.0;

std::string figure(double value) {
  if (value >= 100) return fmt::format("{:.0f}", value);
  return value >= 10 ? fmt::format("{:.1f}", value) : fmt::format("{:.2f}", value);
}

/// Which rows one looks for.
struct Wanted {
  const char* what;
  std::size_t bytes = 64;
  const char* mode = "sleeping";
  int cores = 2;
  std::size_t batch = 1;
  const char* unit = "ns";
};

class Page {
 public:
  Page(const Suite& suite, const Surroundings& where) : rows_{suite.rows}, notes_{suite.notes} {
    head(where);
    targets();
    round_trips();
    one_way();
    starts();
    everything();
    html_ += "<p class=\"small\">&#160;</p></div></body></html>\n";
  }
  std::string take() && { return std::move(html_); }

 private:
  void head(const Surroundings& where);
  void targets();
  void round_trips();
  void one_way();
  void starts();
  void everything();

  void open(const char* title) {
    html_ += fmt::format("<div class=\"sheet\"><h2>{}</h2>\n", title);
  }
  void say(const std::string& words, const char* kind = "") {
    html_ += fmt::format("<p{}>{}</p>\n", *kind ? fmt::format(" class=\"{}\"", kind) : "", words);
  }
  void show(const std::string& svg) { html_ += "<div class=\"plot\">" + svg + "</div>\n"; }

  const Row* find(const std::string& mechanism, const char* api, const Wanted& wanted) const {
    for (const Row& row : rows_) {
      if (row.mechanism == mechanism && row.api == api && row.what == wanted.what &&
          row.bytes == wanted.bytes && row.mode == wanted.mode && row.cores == wanted.cores &&
          row.batch == wanted.batch && row.unit == wanted.unit && row.offset == 0) {
        return &row;
      }
    }
    return nullptr;
  }
  const Row* channel(const Look& look, const Wanted& wanted) const {
    return find(look.mechanism, "channel", wanted);
  }

  void bars_of_round_trips(const char* title, const Wanted& wanted, const char* floor,
                           const char* floor_name);
  void bars_of_rates(const char* title, const Wanted& wanted, bool batches);
  void curves(const char* title, const char* axis, const Wanted& wanted,
              const std::vector<std::size_t>& sizes, double per_unit, const char* floor);

  const std::vector<Row>& rows_;
  const std::vector<std::string>& notes_;
  std::string html_;
};

void Page::head(const Surroundings& where) {
  html_ = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<title>bulkhead bench</title>\n<style>{}</style></head>\n<body><div class=\"band\">"
      "<div class=\"frame\"><div class=\"name\">What a message costs here</div>"
      "<div class=\"claim\">{}, {} CPU{} &#183; {} &#183; {} UTC</div></div></div>\n"
      "<div class=\"frame\">\n",
      style, escaped(where.processor), where.cpus, where.cpus == 1 ? "" : "s",
      escaped(where.kernel), escaped(where.date));
  open("How to read it");
  say(fmt::format(
      "bulkhead {}, {} run; other work on the machine when it began: load {}. Every comparison was "
      "made in a <b>duel</b>: two processes take all contenders in turn in slices of milliseconds, "
      "and a ratio is the median of those within one round. Ratios can be trusted; times belong to "
      "this machine and this moment, and differences under 30 % in one-way figures are none.",
      escaped(where.version), where.quick ? "quick" : "long", escaped(where.load)));
  say("<b>raw</b> is the mechanism through its own system calls and nothing else, as well as they "
      "can be used for messages of known sizes. <b>Channel</b> is what a program gets: boundaries, "
      "deadlines, a peer's death and its lies told, cancellation. <b>asleep</b>: both sides sleep "
      "in every wait. <b>polled</b>: both look again and again; shared memory does so by itself.");
  for (const std::string& note : notes_) say("Left out: " + escaped(note), "small");
  html_ += "</div>\n";
}

std::string cell(const std::optional<double>& ratio, bool rate, double bar) {
  if (!ratio) return "<td></td>";
  const double badness = rate ? bar / *ratio : *ratio / bar;
  return fmt::format("<td class=\"{}\">{}</td>",
                     badness <= 1     ? "good"
                     : badness <= 1.1 ? "near"
                                      : "bad",
                     figure(*ratio));
}

void Page::targets() {
  struct Column {
    const char* title;
    Wanted wanted;
    double bar;
  };
  const bool two = std::ranges::any_of(rows_, [](const Row& row) { return row.cores == 2; });
  std::vector<Column> columns;
  if (two) {
    columns.push_back({"asleep, two cores<br>64 B", {.what = "round_trip"}, 0});
    columns.push_back({"asleep, two cores<br>4 KB", {.what = "round_trip", .bytes = 4096}, 0});
    columns.push_back({"polled, two cores<br>64 B", {.what = "round_trip", .mode = "hot"}, 0});
  }
  columns.push_back({"asleep, one core<br>64 B", {.what = "round_trip", .cores = 1}, 0});
  columns.push_back(
      {"asleep, one core<br>4 KB", {.what = "round_trip", .bytes = 4096, .cores = 1}, 0});
  const auto rate = [](std::size_t bytes, std::size_t batch = 1) {
    return Wanted{
        .what = "one_way", .bytes = bytes, .mode = "copied", .batch = batch, .unit = "messages/s"};
  };
  if (two) {
    columns.push_back({"one way<br>64 B", rate(64), least_of_throughput});
    columns.push_back({"64 B,<br>32 at a time", rate(64, 32), least_of_batches});
    columns.push_back({"one way<br>4 KB", rate(4096), least_of_throughput});
    columns.push_back({"one way<br>64 KB", rate(65536), least_of_throughput});
    columns.push_back({"one way<br>1 MB", rate(1048576), least_of_throughput});
  }
  open("A Channel beside the raw system calls of its own mechanism");
  say(fmt::format(
      "A round trip is to take at most {:.2f} times as long, messages one way are to go "
      "at least as fast, and small ones given 32 at a time at least twice as fast. "
      "Green: so it is. Yellow: within a tenth of it. Red: missed.",
      most_for_a_round_trip));
  html_ += "<table><tr><th></th>";
  for (const Column& column : columns) html_ += fmt::format("<th>{}</th>", column.title);
  html_ += "</tr>\n";
  for (const Look& look : looks) {
    std::string line;
    bool any = false;
    for (const Column& column : columns) {
      const Row* const row = channel(look, column.wanted);
      const bool is_rate = column.bar > 0;
      std::optional<double> ratio;
      if (row != nullptr) ratio = is_rate ? std::optional{row->ratio} : row->ratio_raw;
      const bool own = row != nullptr && (!is_rate || row->floor.ends_with("_raw"));
      any = any || (own && ratio);
      line +=
          own ? cell(ratio, is_rate, is_rate ? column.bar : most_for_a_round_trip) : "<td></td>";
    }
    if (any) html_ += fmt::format("<tr><td class=\"key\">{}</td>{}</tr>\n", look.mechanism, line);
  }
  html_ += "</table>\n";
  say("Shared memory and threads have no system calls of their own to be compared with: their bar "
      "is the bare ring, below.",
      "small");
  html_ += "</div>\n";
}

void Page::bars_of_round_trips(const char* title, const Wanted& wanted, const char* floor,
                               const char* floor_name) {
  BarPlot plot{.title = title,
               .axis = "µs there and back, less is better",
               .series = {{"raw system calls", raw_colour}, {"Channel", channel_colour}}};
  const auto bar = [&](const Row* row, std::size_t series) {
    Bar made{
        .value = row->value / 1000, .text = figure(row->value / 1000) + " µs", .series = series};
    if (series == 1 && row->ratio_raw) {
      made.verdict = figure(*row->ratio_raw) + " × raw";
      made.good = *row->ratio_raw <= most_for_a_round_trip;
    }
    return made;
  };
  for (const Look& look : looks) {
    BarGroup group{.name = look.mechanism};
    if (const Row* row = find(look.mechanism, "raw", wanted)) group.bars.push_back(bar(row, 0));
    if (const Row* row = channel(look, wanted)) group.bars.push_back(bar(row, 1));
    if (!group.bars.empty()) plot.groups.push_back(std::move(group));
  }
  if (plot.groups.empty()) return;
  for (const Row& row : rows_) {
    if (row.mechanism == floor && row.what == std::string{"round_trip"} &&
        row.mode == wanted.mode && row.cores == wanted.cores) {
      plot.floors.push_back({fmt::format("floor: {}, {} µs", floor_name, figure(row.value / 1000)),
                             row.value / 1000});
    }
  }
  if (const Row* ring = find("shm", "ring", wanted)) {
    plot.floors.push_back(
        {fmt::format("the bare ring, {} µs", figure(ring->value / 1000)), ring->value / 1000});
  }
  show(to_svg(plot));
}

void Page::curves(const char* title, const char* axis, const Wanted& wanted,
                  const std::vector<std::size_t>& sizes, double per_unit, const char* floor) {
  LinePlot plot{.title = title, .axis = axis};
  const auto add = [&](Curve curve, const std::string& mechanism, const char* api) {
    for (const std::size_t bytes : sizes) {
      Wanted at = wanted;
      at.bytes = bytes;
      if (std::string{mechanism} == "memcpy") at.cores = 1;
      if (const Row* row = find(mechanism, api, at)) {
        curve.points.emplace_back(static_cast<double>(bytes), row->value / per_unit);
      }
    }
    if (!curve.points.empty()) plot.curves.push_back(std::move(curve));
  };
  if (*floor) add({.name = floor, .colour = "#5c6f7d", .dashed = true}, floor, "raw");
  add({.name = "bare ring", .colour = "#8b9aa6", .dashed = true}, "shm", "ring");
  for (const Look& look : looks) {
    add({.name = look.mechanism,
         .colour = look.colour,
         .dashed = look.dashed,
         .emphasised = std::string{look.mechanism} == "shm"},
        look.mechanism, "channel");
  }
  if (!plot.curves.empty()) show(to_svg(plot));
}

void Page::round_trips() {
  open("There and back");
  say("Two sleeps across cores cost what the machine takes to wake a core; that is most of the "
      "first "
      "picture. On one core there is nothing to wake, and the mechanism's own price is seen. "
      "Polled, "
      "shared memory leaves the kernel out.");
  bars_of_round_trips("64 B, both asleep, two cores", {.what = "round_trip"}, "futex",
                      "futex ping-pong");
  bars_of_round_trips("64 B, both asleep, one core", {.what = "round_trip", .cores = 1}, "futex",
                      "futex ping-pong");
  bars_of_round_trips("64 B, polled, two cores", {.what = "round_trip", .mode = "hot"},
                      "cache_line", "a cache line");
  const std::vector<std::size_t> sizes{64, 4096, 65536};
  curves("Channel: round trip over the size of a message, both asleep, one core",
         "µs there and back, less is better", {.what = "round_trip", .cores = 1}, sizes, 1000, "");
  curves("Channel: round trip over the size of a message, polled, two cores",
         "µs there and back, less is better", {.what = "round_trip", .mode = "hot"}, sizes, 1000,
         "");
  html_ += "</div>\n";
}

void Page::bars_of_rates(const char* title, const Wanted& wanted, bool batches) {
  BarPlot plot{.title = title,
               .axis = "messages a second, more is better",
               .series = {{"raw system calls", raw_colour}, {"Channel", channel_colour}}};
  if (batches) plot.series.push_back({"Channel, given 32 at a time", batch_colour});
  const auto add = [&](BarGroup& group, const Row* row, std::size_t series) {
    if (row == nullptr) return;
    Bar bar{.value = row->value,
            .text = row->value >= 1e6 ? figure(row->value / 1e6) + " M/s"
                                      : figure(row->value / 1e3) + " k/s",
            .series = series};
    if (series > 0 && row->floor.ends_with("_raw")) {
      bar.verdict = figure(row->ratio) + " × raw";
      bar.good = row->ratio >= (series == 2 ? least_of_batches : least_of_throughput);
    }
    group.bars.push_back(std::move(bar));
  };
  Wanted batched = wanted;
  batched.batch = 32;
  for (const Look& look : looks) {
    BarGroup group{.name = look.mechanism};
    add(group, find(look.mechanism, "raw", wanted), 0);
    add(group, channel(look, wanted), 1);
    if (batches) add(group, channel(look, batched), 2);
    if (!group.bars.empty()) plot.groups.push_back(std::move(group));
  }
  if (plot.groups.empty()) return;
  if (const Row* ring = find("shm", "ring", wanted)) {
    plot.floors.push_back(
        {fmt::format("the bare ring, {} M/s", figure(ring->value / 1e6)), ring->value});
  }
  show(to_svg(plot));
}

void Page::one_way() {
  const Wanted small{.what = "one_way", .mode = "copied", .unit = "messages/s"};
  if (find("shm", "ring", small) == nullptr) return;
  open("One way");
  say("One side sends, the other receives, on two cores; each byte is copied out of a private "
      "buffer "
      "and into one. A queue that never runs empty never sleeps.");
  bars_of_rates("64 B", small, true);
  Wanted page = small;
  page.bytes = 4096;
  bars_of_rates("4 KB", page, false);
  Wanted bytes = small;
  bytes.unit = "GB/s";
  const std::vector<std::size_t> sizes{64, 4096, 65536, 1048576};
  curves("Channel: bandwidth over the size of a message", "GB/s (10⁹ bytes), more is better", bytes,
         sizes, 1, "memcpy");
  html_ += "</div>\n";
}

void Page::starts() {
  BarPlot plot{
      .title = "Until something that does nothing was started, ended and reaped",
      .axis = "µs, less is better",
      .series = {{"system calls", raw_colour}, {"a role, until it answered", channel_colour}}};
  for (const char* name : {"thread", "fork", "exec", "process"}) {
    for (const Row& row : rows_) {
      if (row.what != "start" || row.mechanism != name) continue;
      plot.groups.push_back({.name = name,
                             .bars = {{.value = row.value / 1000,
                                       .text = figure(row.value / 1000) + " µs",
                                       .verdict = figure(row.ratio) + " × exec",
                                       .good = std::nullopt,
                                       .series = row.api == "channel" ? 1u : 0u}}});
    }
  }
  if (plot.groups.empty()) return;
  open("Starting a process");
  show(to_svg(plot));
  html_ += "</div>\n";
}

void Page::everything() {
  open("All rows");
  html_ +=
      "<table><tr><th>what</th><th>mechanism</th><th>api</th><th>size</th><th>mode</th>"
      "<th>cores</th><th>value</th><th>to its floor</th><th>floor</th><th>to raw</th>"
      "<th>system calls</th><th>switches</th><th>rounds</th></tr>\n";
  const auto optional = [](const std::optional<double>& value) {
    return value ? figure(*value) : std::string{};
  };
  for (const Row& row : rows_) {
    if (row.unit == "messages/s" && row.bytes > 64) continue;  // GB/s says the same
    if (row.unit == "GB/s" && row.bytes <= 64) continue;
    const bool rate = row.unit == "messages/s";
    const std::string value = rate               ? fmt::format("{:.0f} k/s", row.value / 1000)
                              : row.unit == "ns" ? figure(row.value / 1000) + " µs"
                                                 : figure(row.value) + " " + row.unit;
    std::string size = row.bytes == 0 ? "" : size_label(static_cast<double>(row.bytes));
    if (row.batch > 1) size += fmt::format(" × {}", row.batch);
    if (row.offset > 0) size += fmt::format(" +{}", row.offset);
    html_ += fmt::format(
        "<tr><td class=\"word\">{}</td><td class=\"key\">{}</td><td class=\"word\">{}</td>"
        "<td>{}</td><td class=\"word\">{}</td><td>{}</td><td>{}</td><td>{}</td>"
        "<td class=\"word\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        row.what, row.mechanism, row.api, size, row.mode, row.cores, value, figure(row.ratio),
        row.floor, optional(row.ratio_raw), optional(row.system_calls), optional(row.switches),
        row.rounds);
  }
  html_ += "</table>\n";
  say("System calls and context switches are per message and of both sides. The same rows are in "
      "<a href=\"rows.json\">rows.json</a>.",
      "small");
  html_ += "</div>\n";
}

std::string processor_name() {
  std::ifstream file{"/proc/cpuinfo"};
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("model name")) continue;
    const auto at = line.find(": ");
    if (at != line.npos) return line.substr(at + 2);
  }
  return "a processor without a name";
}

}  // namespace

Surroundings surroundings_here(std::string version, bool quick) {
  Surroundings here{.processor = processor_name(),
                    .cpus = usable_cpus(),
                    .version = std::move(version),
                    .quick = quick};
  utsname kernel{};
  if (::uname(&kernel) == 0) here.kernel = std::string{kernel.sysname} + ' ' + kernel.release;
  std::ifstream{"/proc/loadavg"} >> here.load;
  const std::time_t now = std::time(nullptr);
  std::array<char, 32> date{};
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::strftime(date.data(), date.size(), "%Y-%m-%d %H:%M", &parts);
  here.date = date.data();
  return here;
}

std::string to_html(const Suite& suite, const Surroundings& where) {
  return Page{suite, where}.take();
}

}  // namespace bulkhead::bench

// SPDX-License-Identifier: Apache-2.0
//
// Rows as a table and as JSON.
#include <cmath>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "bench/row.hpp"

namespace bulkhead::bench {

namespace {

/// Three significant digits, no exponent.
std::string figure(double value) {
  if (value >= 1000) return fmt::format("{:.0f}", value);
  if (value >= 100) return fmt::format("{:.1f}", value);
  return fmt::format("{:.{}f}", value, value >= 10 ? 1 : value >= 1 ? 2 : 3);
}

std::string optional_figure(const std::optional<double>& value) {
  return value ? figure(*value) : "";
}

/// A time in its natural unit, a rate in thousands or millions.
std::string with_unit(const Row& row) {
  if (row.unit == "ns" && row.value >= 1e6) return figure(row.value / 1e6) + " ms";
  if (row.unit == "ns" && row.value >= 1e3) return figure(row.value / 1e3) + " us";
  if (row.unit == "messages/s" && row.value >= 1e6) return figure(row.value / 1e6) + " M/s";
  if (row.unit == "messages/s") return figure(row.value / 1e3) + " k/s";
  return figure(row.value) + " " + row.unit;
}

std::string size_text(std::size_t bytes) {
  if (bytes == 0) return "";
  if (bytes >= 1048576) return fmt::format("{} MB", bytes / 1048576);
  return bytes >= 1024 ? fmt::format("{} KB", bytes / 1024) : fmt::format("{} B", bytes);
}

/// Rounded to six digits: what lies behind is noise, and makes the file long.
double rounded(double value) {
  if (value == 0 || !std::isfinite(value)) return 0;
  const double scale = std::pow(10.0, 5 - std::floor(std::log10(std::fabs(value))));
  return std::round(value * scale) / scale;
}

void put(nlohmann::ordered_json& object, const char* name, const std::optional<double>& value) {
  if (value) object[name] = rounded(*value);
}

}  // namespace

void print_table(std::FILE* out, const std::vector<Row>& rows) {
  constexpr auto line =
      "{:<11} {:<8} {:>6} {:<9} {:>5} {:>12} {:>8} {:<11} {:>6} {:>6} {:>7} {:>8} {:>8}\n";
  std::string group;
  for (const Row& row : rows) {
    if (row.what != group) {
      group = row.what;
      fmt::print(out, "\n{}\n", group);
      fmt::print(out, line, "mechanism", "api", "size", "mode", "cores", "value", "x floor",
                 "floor", "x ring", "x raw", "x chan.", "calls", "switches");
    }
    fmt::print(out, line, row.mechanism, row.api, size_text(row.bytes), row.mode, row.cores,
               with_unit(row), row.floor.empty() ? "" : figure(row.ratio), row.floor,
               optional_figure(row.ratio_ring), optional_figure(row.ratio_raw),
               optional_figure(row.ratio_channel), optional_figure(row.system_calls),
               optional_figure(row.switches));
    if (row.batch > 1) fmt::print(out, "{:>12}given {} at a time\n", "", row.batch);
    if (row.offset > 0) {
      fmt::print(out, "{:>12}from a buffer {} bytes behind a page boundary\n", "", row.offset);
    }
  }
  fmt::print(out,
             "\nx floor, x ring, x raw, x chan.: medians of the ratios taken round by round; for "
             "rates, more is "
             "better.\ncalls, switches: system calls and context switches per message, "
             "both sides.\n");
}

void print_waiting(std::FILE* out, const std::vector<Row>& rows) {
  constexpr auto line = "{:<10} {:>8}   {:>8} {:>4}   {:>8} {:>4}   {:>8} {:>4}   {:>6}\n";
  fmt::print(out, line, "placement", "think us", "sleep", "CPU", "spin", "CPU", "adaptive", "CPU",
             "ratio");
  for (std::size_t i = 0; i + 2 < rows.size(); i += 3) {
    const double think_ns = rows[i].think_us.value_or(0) * 1000;
    const auto added = [&](std::size_t k) { return figure((rows[k].value - think_ns) / 1000); };
    const auto burnt = [&](std::size_t k) {
      return fmt::format("{:.1f}", rows[k].cores_burnt.value_or(0));
    };
    fmt::print(out, line, rows[i].placement, fmt::format("{:.0f}", think_ns / 1000), added(i),
               burnt(i), added(i + 1), burnt(i + 1), added(i + 2), burnt(i + 2),
               figure(rows[i + 2].ratio));
  }
  fmt::print(out,
             "\nAdded latency in us (round trip less the think time) and cores burnt, when both "
             "sides always sleep,\nalways spin (giving the core away every 20 us), or wait as the "
             "channel has learned to.\nratio: the whole round trip, adaptive to the better of the "
             "other two.\n");
}

std::string to_json(const std::vector<Row>& rows) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Row& row : rows) {
    nlohmann::ordered_json object;
    object["mechanism"] = row.mechanism;
    object["api"] = row.api;
    object["what"] = row.what;
    object["bytes"] = row.bytes;
    object["mode"] = row.mode;
    object["cores"] = row.cores;
    object["value"] = rounded(row.value);
    object["unit"] = row.unit;
    object["floor"] = row.floor;
    object["floor_value"] = rounded(row.floor_value);
    object["ratio"] = rounded(row.ratio);
    put(object, "ratio_ring", row.ratio_ring);
    put(object, "ratio_raw", row.ratio_raw);
    put(object, "ratio_channel", row.ratio_channel);
    put(object, "system_calls", row.system_calls);
    put(object, "switches", row.switches);
    if (row.batch > 1) object["batch"] = row.batch;
    if (row.offset > 0) object["offset"] = row.offset;
    put(object, "think_us", row.think_us);
    put(object, "cores_burnt", row.cores_burnt);
    if (!row.placement.empty()) object["placement"] = row.placement;
    object["rounds"] = row.rounds;
    object["rounds_apart"] = row.rounds_apart;
    list.push_back(std::move(object));
  }
  return list.dump(1) + "\n";
}

}  // namespace bulkhead::bench

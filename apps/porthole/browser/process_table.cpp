// SPDX-License-Identifier: Apache-2.0
#include "browser/process_table.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>

namespace porthole {
namespace {

using Cells = std::array<std::string, 7>;

std::string number(TabId tab) { return std::to_string(static_cast<std::uint32_t>(tab)); }

std::string joined(const std::vector<std::string>& words) {
  std::string all;
  for (const auto& word : words) all += (all.empty() ? "" : ", ") + word;
  return all.empty() ? "none" : all;
}

Cells cells_of(const ProcessRow& row) {
  const std::string& more = row.plugin.empty() ? row.composer : row.plugin;
  return {more.empty() ? row.kind : row.kind + " " + more,
          std::to_string(row.pid),
          std::to_string(row.ppid),
          row.tab ? number(*row.tab) : "-",
          row.site ? *row.site : "-",
          std::to_string(row.rss_kb),
          joined(row.sandbox)};
}

}  // namespace

void ask_kernel(ProcessRow& row) {
  row.ppid = 0;
  row.rss_kb = 0;
  std::ifstream status("/proc/" + std::to_string(row.pid) + "/status");
  for (std::string name; status >> name;) {
    if (name == "PPid:") status >> row.ppid;
    if (name == "VmRSS:") status >> row.rss_kb;
    status.ignore(4096, '\n');
  }
}

std::vector<std::string> layers_in_force(const bulkhead::SandboxReport& report) {
  std::vector<std::string> names;
  for (const auto& layer : report.layers) {
    if (layer.state == bulkhead::SandboxLayer::State::in_force) names.push_back(layer.name);
  }
  return names;
}

nlohmann::json to_json(const std::vector<ProcessRow>& rows) {
  auto table = nlohmann::json::array();
  for (const ProcessRow& row : rows) {
    nlohmann::json entry{{"kind", row.kind},    {"pid", row.pid}, {"ppid", row.ppid},
                         {"site", nullptr},     {"tab", nullptr}, {"sandbox", row.sandbox},
                         {"rss_kb", row.rss_kb}};
    if (row.site) entry["site"] = *row.site;
    if (row.tab) entry["tab"] = static_cast<std::uint32_t>(*row.tab);
    if (!row.plugin.empty()) entry["plugin"] = row.plugin;
    if (!row.composer.empty()) entry["compositor"] = row.composer;
    table.push_back(std::move(entry));
  }
  return table;
}

std::string to_text(const std::vector<ProcessRow>& rows) {
  std::vector<Cells> lines{{"kind", "pid", "ppid", "tab", "site", "rss kB", "sandbox"}};
  for (const ProcessRow& row : rows) lines.push_back(cells_of(row));
  std::array<std::size_t, std::tuple_size_v<Cells>> widths{};
  for (const Cells& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (const Cells& line : lines) {
    for (std::size_t i = 0; i + 1 < line.size(); ++i) {
      text += line[i] + std::string(widths[i] - line[i].size() + 2, ' ');
    }
    text += line.back() + '\n';
  }
  return text;
}

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
#include <ostream>
#include <utility>

#include <bulkhead/sandbox.hpp>

namespace bulkhead {
namespace {

std::string list(const SandboxReport& report, SandboxLayer::State state) {
  std::string text;
  for (const auto& layer : report.layers) {
    if (layer.state != state) continue;
    text += (text.empty() ? "" : ", ") + layer.name;
    if (!layer.why.empty()) text += " (" + layer.why + ")";
  }
  return text;
}

}  // namespace

std::string to_string(const SandboxReport& report) {
  std::string text = report.name + (report.locked ? ": locked" : ": not locked");
  if (auto names = list(report, SandboxLayer::State::in_force); !names.empty()) {
    text += "; in force: " + names;
  }
  if (auto names = list(report, SandboxLayer::State::unavailable); !names.empty()) {
    text += "; unavailable: " + names;
  }
  return text;
}

std::ostream& operator<<(std::ostream& out, const SandboxReport& report) {
  return out << to_string(report);
}

namespace sandbox {

Sandbox read_only(std::string folder) {
  Sandbox made;
  made.name = "read_only " + folder;
  made.readable.push_back(std::move(folder));
  return made;
}

}  // namespace sandbox
}  // namespace bulkhead

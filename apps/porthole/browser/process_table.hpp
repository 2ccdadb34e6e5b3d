// SPDX-License-Identifier: Apache-2.0
//
// The table of processes: which there are, what each is for and what confines it. For programs as
// JSON (`--processes=json`), for people as text.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include <bulkhead/sandbox.hpp>

#include "interfaces/types.hpp"

namespace porthole {

struct ProcessRow {
  /// "browser", "renderer", "plugin", "gpu"
  std::string kind;
  pid_t pid = 0;
  pid_t ppid = 0;
  /// What it is locked to; nothing for the browser and the gpu process.
  std::optional<std::string> site = {};
  /// Of a renderer; nothing for one that shows no tab.
  std::optional<TabId> tab = {};
  /// Of a plugin process: which one it loaded.
  std::string plugin = {};
  /// Of the gpu process: what draws.
  std::string composer = {};
  /// The layers in force.
  std::vector<std::string> sandbox = {};
  std::uint64_t rss_kb = 0;
};

/// Parent and memory by the kernel's word; 0 for a process that has just gone.
void ask_kernel(ProcessRow& row);

std::vector<std::string> layers_in_force(const bulkhead::SandboxReport& report);

nlohmann::json to_json(const std::vector<ProcessRow>& rows);
std::string to_text(const std::vector<ProcessRow>& rows);

}  // namespace porthole

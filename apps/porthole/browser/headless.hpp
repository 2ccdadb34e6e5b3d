// SPDX-License-Identifier: Apache-2.0
//
// Headless: Porthole without a window. Opens tabs, waits until each has settled, writes a picture and
// the table of processes, and, while held, obeys commands from standard input.
//
// STATE
//   opening -> showing    every tab has settled: painted, failed, sad, or without an answer for long
//   showing -> held       picture and table are out (with a hold)
//   showing, held -> ending   without a hold; the time is over; `quit`
//   ending -> (run returns)   the children have gone
// Standard output: the table, flushed, and nothing else until the first command; then one line of
// JSON for each command, in their order. The end of standard input ends nothing.
// Exit status: 0 only when all that was asked for at the start was painted and written.
//
// Threads: run() is the event loop's. Blocking: run() alone; writes to standard output wait for
// whoever reads it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "browser/browser.hpp"

namespace porthole {

struct HeadlessOptions {
  enum class Table : std::uint8_t { none, json, text };

  std::vector<std::string> inputs;
  /// The tab that is in front.
  TabId tab{1};
  std::optional<std::filesystem::path> screenshot = {};
  Table table = Table::none;
  std::chrono::milliseconds hold{0};
};

/// The whole run; the program's exit status.
int run_headless(BrowserOptions browser, HeadlessOptions options);

}  // namespace porthole

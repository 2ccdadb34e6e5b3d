// SPDX-License-Identifier: Apache-2.0
//
// Drives the real program: starts `porthole --headless --hold`, reads its table of processes, gives
// it commands and looks at its pictures. A call that the program does not answer ends with the test's
// watchdog. Dropping it kills the program, and the census then sees whether a child was left behind.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "interfaces/types.hpp"
#include "support/children.hpp"

namespace porthole::test {

/// What is below the bars: the page alone.
struct Snapshot {
  Size size{};
  std::vector<std::uint32_t> pixels;  ///< 0xAARRGGBB
  /// 0 outside.
  std::uint32_t at(std::int32_t x, std::int32_t y) const;
  int count(std::uint32_t colour) const;
  friend bool operator==(const Snapshot&, const Snapshot&) = default;
};

struct PortholeOptions {
  std::vector<std::string> urls;
  std::vector<std::string> resolve = {};
  std::vector<std::string> more = {};
};

class Porthole {
 public:
  /// Returns when everything is painted and the table is out.
  explicit Porthole(PortholeOptions options);

  pid_t pid() const { return child_.pid(); }
  /// The table that was printed at first.
  const nlohmann::json& first_table() const { return first_table_; }
  /// The table as it is now.
  nlohmann::json processes();
  /// Of the renderer that shows a tab; 0 without one.
  pid_t renderer_of(int tab);
  /// Of all processes of a kind.
  std::vector<pid_t> pids(std::string_view kind);

  /// One line in, one line out.
  nlohmann::json command(const std::string& line);
  /// The same, and it has to succeed.
  nlohmann::json obey(const std::string& line);
  Snapshot picture(int tab);
  /// The status of a tab, asked by a reload or another command that failed or not.
  void send(const std::string& line);
  nlohmann::json answer();

  /// Sends a signal to one of its processes and waits until that has gone.
  void kill_and_wait(pid_t pid, int signal);
  /// Waits until standard error contains this.
  void wait_for_error(std::string_view text);
  std::string errors() const;

  void close_input() { child_.close_input(); }
  /// Tells it to end; its exit status, or minus the signal that ended it.
  int quit();
  int wait();
  void kill() { child_.kill(); }

 private:
  std::filesystem::path folder_;
  bulkhead::test::Child child_;
  nlohmann::json first_table_;
  int pictures_ = 0;
};

/// The program's end without a hold: its exit status and what it said.
struct Outcome {
  int status = 0;
  std::string output;
  std::string errors;
};
Outcome run_porthole(const std::vector<std::string>& arguments);

/// Waits until a process that need not be our child has gone.
bool goes(pid_t pid);

Snapshot read_png(const std::filesystem::path& file, std::int32_t skipped_rows);

}  // namespace porthole::test

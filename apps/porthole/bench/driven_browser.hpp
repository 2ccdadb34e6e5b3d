// SPDX-License-Identifier: Apache-2.0
//
// The real program, held and driven by its commands, for measuring it from outside.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <sys/types.h>
#include <vector>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

namespace porthole::bench {

class DrivenBrowser {
 public:
  using Clock = std::chrono::steady_clock;

  /// Starts `program --headless --hold` with these URLs; returns when all is painted.
  static bulkhead::Result<DrivenBrowser> start(const std::string& program,
                                               const std::vector<std::string>& urls);
  DrivenBrowser(DrivenBrowser&&) noexcept;
  DrivenBrowser& operator=(DrivenBrowser&&) = delete;
  /// Asks it to end, and waits for that.
  ~DrivenBrowser();

  /// One line in, one line out, which must say that it succeeded; the time between the two.
  bulkhead::Result<std::chrono::nanoseconds> obey(const std::string& command);
  bulkhead::Result<nlohmann::json> answer_to(const std::string& command);
  /// Ends a process; the time until the browser has told on standard error how it ended, which it
  /// does when the tab's overlay is there.
  bulkhead::Result<std::chrono::nanoseconds> kill_and_hear(pid_t pid);
  /// The processes of a kind as they are now.
  bulkhead::Result<std::vector<pid_t>> pids(const std::string& kind);

 private:
  DrivenBrowser() = default;
  bulkhead::Result<std::string> read_line(bulkhead::FdView from, std::string& buffer);
  bulkhead::Result<void> write_line(const std::string& line);

  pid_t pid_ = 0;
  bulkhead::Fd input_;
  bulkhead::Fd output_;
  bulkhead::Fd errors_;
  std::string answers_;
  std::string complaints_;
};

}  // namespace porthole::bench

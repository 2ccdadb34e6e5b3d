// SPDX-License-Identifier: Apache-2.0
//
// JobLog: a line for each input that is done, in the format of GNU parallel's --joblog, by which a
// run that was interrupted goes on where it was.
//
// LAYOUT: a header line, then lines of nine fields between tabs
//   Seq Host Starttime JobRuntime Send Receive Exitval Signal Command
// written each with one write(2) to a file opened for appending: a crash cuts at most the last, which
// has no newline then and is cut off when the file is next opened. Command is quoted as for a shell,
// so it has neither tab nor newline. The file is locked while a run uses it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include <bulkhead/exit.hpp>
#include <bulkhead/fd.hpp>

namespace bulkhead::tools::map {

class JobLog {
 public:
  enum class Keep : std::uint8_t {
    nothing,    ///< a new log
    done,       ///< pass over all inputs that are in it
    succeeded,  ///< pass over those that succeeded; the others are run again
  };
  struct Entry {
    std::uint64_t number;
    std::chrono::system_clock::time_point begun;
    std::chrono::duration<double> took;
    std::uint64_t output_bytes;
    Exit exit;
    std::string command;
  };

  /// `exists` while another run uses it, `corrupt` when `path` is no such log.
  static Result<JobLog> open(const std::string& path, Keep keep);

  /// Was this input done before? `invalid` when it was another command then: the log is of other
  /// inputs. An empty `command` is not compared.
  Result<bool> has(std::uint64_t number, const std::string& command) const;
  Result<void> add(const Entry& entry);

 private:
  explicit JobLog(std::string path) : path_(std::move(path)) {}

  Result<void> read(Keep keep);
  Result<void> read_line(std::string_view line, std::size_t at, Keep keep);
  Result<void> append(std::string_view text);

  std::string path_;
  Fd file_;
  std::map<std::uint64_t, std::string> before_;  // the command of each input that is not run again
};

}  // namespace bulkhead::tools::map

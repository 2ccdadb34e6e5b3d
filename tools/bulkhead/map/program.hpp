// SPDX-License-Identifier: Apache-2.0
//
// Program: one run of a program that is not ours, in a process group of its own, its output in pipes.
//
// Started by vfork: its cost does not grow with our memory. It dies with us: the kernel kills it when
// we are killed. What it started itself is in its group, and is ended with it when we end it; a
// program that leaves its group on purpose (a daemon) is its own master, as under any shell.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include <bulkhead/exit.hpp>
#include <bulkhead/fd.hpp>

namespace bulkhead::tools::map {

enum class OutputTo { pipes, ours };

class Program {
 public:
  /// `words` name the program and its arguments; `path` is where the program is (find_program()).
  /// Standard input is `input`, shared by all. `exhausted` when this user may have no more processes
  /// or descriptors: later there may be room. `not_found`, `denied`, `too_large` (arguments) name why
  /// it cannot run.
  static Result<Program> start(const std::string& path, const std::vector<std::string>& words,
                               FdView input, OutputTo output);

  Program(Program&& other) noexcept;
  Program& operator=(Program&&) = delete;
  ~Program();  // SIGKILL to its group when it has not been reaped, then reaped

  /// Readable once it has ended. To be taken over, like the two below.
  Fd& ended() noexcept { return pidfd_; }
  /// The reading ends, non-blocking; empty when its output is ours.
  Fd& output() noexcept { return output_; }
  Fd& error() noexcept { return error_; }

  /// To the whole group.
  void signal(int number) noexcept;
  /// After ended() is readable. Once.
  Exit reap() noexcept;

 private:
  Program() noexcept = default;

  pid_t pid_ = -1;
  Fd pidfd_;
  Fd output_;
  Fd error_;
};

/// Where the shell would find it; a name with a slash is its own path. `not_found` in words.
Result<std::string> find_program(const std::string& name);

}  // namespace bulkhead::tools::map

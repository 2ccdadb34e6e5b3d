// SPDX-License-Identifier: Apache-2.0
//
// Runs a program of tests/children/ (each misbehaves in exactly one way), found beside the test's
// own executable. Does not use the library's process part: that is what it helps to test.
//
// The child dies with the thread that started it, and at the latest with its Child.
#pragma once

#include <signal.h>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include <bulkhead/fd.hpp>

namespace bulkhead::test {

class Child {
 public:
  /// Starts build/bin/<program>. Its standard input and output are pipes to us; standard error is
  /// ours unless given. `inherited` become its descriptors 3, 4, ... Aborts the test process when it
  /// cannot.
  static Child start(const std::string& program, const std::vector<std::string>& arguments = {},
                     const std::vector<FdView>& inherited = {}, FdView error = {});

  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child();  // SIGKILL, then reaped

  pid_t pid() const { return pid_; }

  /// Writes all of `text` to its standard input. Returns false when it has gone.
  bool write(std::string_view text);
  /// Closes its standard input.
  void close_input() { input_.close(); }
  /// Nobody reads its standard output any more.
  void close_output() { output_.close(); }
  /// The next line of its standard output without the newline; empty at the end. May block.
  std::string read_line();
  /// All that is left of its standard output. Blocks until the child has closed it.
  std::string read_all();

  void kill(int signal = SIGKILL);
  /// Waits until it ends; the status as waitpid gives it. Again after that: the same status.
  int wait();

 private:
  Child() = default;

  pid_t pid_ = -1;
  int status_ = 0;
  bool reaped_ = false;
  Fd input_;
  Fd output_;
};

/// The path of a program beside the test's own executable.
std::string program_path(const std::string& program);

}  // namespace bulkhead::test

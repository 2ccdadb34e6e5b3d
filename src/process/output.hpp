// SPDX-License-Identifier: Apache-2.0
//
// Where a child's standard streams lead: the descriptors it gets, and what stays with the parent.
#pragma once

#include <string>

#include <bulkhead/fd.hpp>
#include <bulkhead/process.hpp>

namespace bulkhead::process {

/// For the child: input, output and error; some may be this process's own, which `owned` does not
/// hold. For the parent: the reading end of a pipe, with captured and prefixed output.
struct Streams {
  FdView standard[3];
  Fd owned[2];
  Fd reading;
};
Result<Streams> open_streams(const Output& output, FdView input);

/// Passes lines on, each behind a prefix, in one write(2) for those that arrived together.
class Prefixer {
 public:
  explicit Prefixer(std::string prefix) : prefix_(std::move(prefix)) {}

  /// What is in the pipe now, to standard error; not waiting for more. A line without an end is
  /// kept for later, and at the end of the pipe passed on as it is. False when the pipe has ended.
  bool forward(FdView pipe);

 private:
  void take(std::string_view text, std::string& out);

  static constexpr std::size_t longest_line = 4096;  // a longer one is broken

  std::string prefix_;
  std::string line_;
};

}  // namespace bulkhead::process

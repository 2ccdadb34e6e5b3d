// SPDX-License-Identifier: Apache-2.0
//
// The census: what a test process holds, counted before and after each test. A test that leaves a
// descriptor, a process, a thread, a name, a message queue or a file (FIFOs, sockets and what is in
// the runtime directory among them) behind fails, and the message says which.
//
// Taken from /proc, so it needs no help from the code under test. The kernel finishes some clean-up
// after the call that asked for it has returned (a joined thread, a closed memory map); hence
// `settle` compares again for a bounded time before it believes a difference.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace bulkhead::test {

class Census {
 public:
  /// What this process holds now.
  static Census take();

  /// What `after` has and this census has not, one sentence each; empty when nothing is left.
  std::vector<std::string> left_behind(const Census& after) const;

  /// As left_behind with the present, repeated until nothing is left or `patience` has passed.
  std::vector<std::string> settle(std::chrono::milliseconds patience) const;

 private:
  using Holdings = std::map<std::string, std::string>;  // what identifies it -> what it is

  Holdings descriptors_;
  Holdings processes_;
  Holdings threads_;
  Holdings names_;
};

/// Makes the test process's own temporary folder and points TMPDIR and XDG_RUNTIME_DIR into it, so
/// that what the code under test writes there is seen; and starts a session of its own, so that a
/// grandchild that lost its parent is seen too.
void prepare_process();

/// Removes the temporary folder.
void clean_up_process();

/// A folder for the running test alone. Removed after the test, before the census.
std::filesystem::path temporary_folder();

/// Removes what temporary_folder gave to the test that has just ended.
void remove_temporary_folders();

}  // namespace bulkhead::test

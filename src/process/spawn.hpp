// SPDX-License-Identifier: Apache-2.0
// The two placements of a role, which detail::spawn chooses from, and the start of a process in two
// steps, for who has other things to do meanwhile.
#pragma once

#include <memory>
#include <string_view>

#include <bulkhead/process.hpp>

#include "process/process_state.hpp"
#include "transport/link.hpp"

namespace bulkhead::process {

/// A process that has been started and has not said yet that its role begins. Ends and reaps it
/// when it goes before that.
class Starting {
 public:
  /// Does not wait for the child.
  static Result<Starting> begin(detail::RoleEntry entry, std::string_view role,
                                SpawnOptions& options);
  Starting(Starting&&) noexcept;
  Starting& operator=(Starting&&) noexcept;
  ~Starting();

  pid_t pid() const noexcept { return state_->pid; }
  /// Polls readable when finish() has something to say.
  FdView answer() const noexcept;
  /// When finish() is to be called at the latest.
  Deadline deadline() const noexcept { return deadline_; }
  /// `empty` while there is no answer and time is left; anything else is the last word.
  Result<Process> finish();

 private:
  Starting(std::shared_ptr<detail::ProcessState> state, std::unique_ptr<transport::Link> link,
           Trust trust, Deadline deadline) noexcept;

  std::shared_ptr<detail::ProcessState> state_;
  std::unique_ptr<transport::Link> link_;
  Trust trust_;
  Deadline deadline_;
};

Result<Process> spawn_process(detail::RoleEntry entry, std::string_view role,
                              SpawnOptions& options);
Result<Process> spawn_thread(detail::RoleEntry entry, SpawnOptions& options);

/// "spawn decoder: enter folder /x: No such file or directory"
Error spawn_failure(const Error& error, const std::string& name);

}  // namespace bulkhead::process

// SPDX-License-Identifier: Apache-2.0
//
// ProcessState: what stands behind a Process. Shared with the obituary of its channel, which may
// outlive the Process.
//
// STATE
//   running -> ended     the kernel says so, and the first thread that asks finds out how (settle)
//   running -> detached  its Process goes, for an independent child
//   in a forked copy of this process: foreign, for ever; nothing is done to the child
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <sys/types.h>
#include <thread>
#include <unistd.h>

#include <bulkhead/process.hpp>

#include "process/last_words.hpp"
#include "process/lifeline.hpp"
#include "process/output.hpp"

namespace bulkhead::detail {

struct ProcessState {
  // Constant once spawn has returned.
  std::string name;
  pid_t pid = 0;
  const pid_t owner = ::getpid();
  Placement placement = Placement::process;
  Lifetime lifetime = Lifetime::with_parent;
  std::chrono::milliseconds grace{0};
  Sandbox::Limits limits;
  SandboxReport report;
  Fd pidfd;  ///< an eventfd for a thread
  Output::Kind output = Output::Kind::inherit;
  Fd reading;

  std::mutex mutex;
  std::optional<Exit> exit;
  std::string hang;  ///< why we are killing it
  Fd vitals;         ///< the bootstrap socket: its last words
  process::Lifeline lifeline;
  std::optional<process::Prefixer> prefixer;
  std::thread thread;

  ~ProcessState();

  std::string who() const { return name + " (" + std::to_string(pid) + ")"; }
  bool foreign() const noexcept { return owner != ::getpid(); }

  /// How it ended, found out and cleaned up after at the first asking; nothing while it runs.
  std::optional<Exit> settle();
  /// `timed_out`, or `empty` for os::no_wait.
  Result<Exit> wait(Deadline deadline);
  Result<Exit> kill(std::string hang);
  /// The same without waiting for its end.
  void begin_kill(std::string hang);
  void forward_output();
  /// For the channel: who, and how it ended.
  std::optional<std::pair<std::string, Exit>> obituary(Deadline deadline);

  /// Gives up an independent child; reap_released() looks after it.
  void release();

  static std::shared_ptr<ProcessState> share(Process& process) { return process.state_; }
  static Process make(std::shared_ptr<ProcessState> state, Channel channel) {
    return Process{std::move(state), std::move(channel)};
  }

 private:
  std::optional<Exit> settle_process();
};

/// Reaps the independent children that have ended since.
void reap_released();

}  // namespace bulkhead::detail

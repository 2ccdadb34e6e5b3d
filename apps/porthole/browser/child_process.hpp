// SPDX-License-Identifier: Apache-2.0
//
// ChildProcess: one process of ours, started, watched and ended without ever waiting for it. What
// every kind of child has in common; RendererProcess, PluginProcess and GpuProcess have one each.
//
// STATE
//   starting -> running   a worker's spawn() returned
//   starting -> gone      it failed
//   running  -> ending    end(); also straight from starting, as soon as spawn() returns
//   running, ending -> gone   the kernel says that it has ended, and how
//
// Threads: the loop's. Ownership: keeps itself until the process has gone; whoever started it drops
// its pointer when it likes, and calls abandon() to hear no more of it.
// Peer death: that is what `gone` tells. As a thread, one that does not leave when its channels are
// closed cannot be ended alone: the program says so and ends.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <sys/types.h>

#include <bulkhead/process.hpp>

#include "browser/loops.hpp"

namespace porthole {

class ChildProcess : public std::enable_shared_from_this<ChildProcess> {
 public:
  enum class State : std::uint8_t { starting, running, ending, gone };
  /// `spawn<role>`.
  using Role = bulkhead::Result<bulkhead::Process> (*)(bulkhead::SpawnOptions);

  struct Events {
    std::function<void()> started = {};
    /// In words: "SIGSEGV at 0x0", or what end() was given.
    std::function<void(const std::string& how)> gone = {};
  };

  static std::shared_ptr<ChildProcess> start(Loops& loops, Role role,
                                             bulkhead::SpawnOptions options, Events events);

  State state() const noexcept { return state_; }
  bool running() const noexcept { return state_ == State::running; }
  /// Running by the kernel's word now, which is ahead of `gone` by the event loop's turn.
  bool alive() const { return running() && process_->running(); }
  /// 0 until it runs.
  pid_t pid() const noexcept { return pid_; }
  /// Once it runs.
  bulkhead::Channel& channel() noexcept { return process_->channel(); }
  const bulkhead::SandboxReport& sandbox_report() const noexcept { return report_; }

  /// Kills it; `why` is what `gone` will say. Again: nothing.
  void end(std::string why);
  /// The same without telling anybody.
  void abandon();

 private:
  ChildProcess(Loops& loops, Events events, std::string name, bulkhead::Placement placement);

  void began(bulkhead::Result<bulkhead::Process> process);
  void kill();
  void finish(std::string how);

  Loops& loops_;
  Events events_;
  std::string name_;
  bulkhead::Placement placement_;
  State state_ = State::starting;
  std::optional<std::string> why_;
  std::shared_ptr<bulkhead::Process> process_;
  pid_t pid_ = 0;
  bulkhead::SandboxReport report_;
};

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
#include <csignal>

#include <bulkhead/process.hpp>

#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "process/process_state.hpp"

namespace bulkhead {
namespace {

/// In a forked copy a channel must not be closed: it is the original's. It is kept for good.
void keep_unused(Channel channel) {
  static auto* const kept = new std::vector<Channel>;
  kept->push_back(std::move(channel));
}

void end(detail::ProcessState* state, Channel& channel) {
  if (state == nullptr) return;
  if (state->foreign()) return keep_unused(std::move(channel));
  if (state->settle()) return;
  channel.close();
  if (state->lifetime == Lifetime::independent) return state->release();
  if (state->placement == Placement::thread) {
    static_cast<void>(state->wait(never));
    return;
  }
  if (state->wait(state->grace)) return;
  static_cast<void>(os::send_signal(state->pidfd, SIGTERM));
  if (state->wait(state->grace)) return;
  // One that even SIGKILL has not ended yet is reaped later.
  if (!state->kill({})) state->release();
}

}  // namespace

Process::Process(std::shared_ptr<detail::ProcessState> state, Channel channel) noexcept
    : state_(std::move(state)), channel_(std::move(channel)) {}

Process::Process(Process&&) noexcept = default;

Process& Process::operator=(Process&& other) noexcept {
  if (this == &other) return *this;
  end(state_.get(), channel_);
  state_ = std::move(other.state_);
  channel_ = std::move(other.channel_);
  return *this;
}

Process::~Process() { end(state_.get(), channel_); }

pid_t Process::pid() const noexcept { return state_->pid; }
const std::string& Process::name() const noexcept { return state_->name; }
std::string Process::who() const { return state_->who(); }
Channel& Process::channel() noexcept { return channel_; }

Result<Exit> Process::wait(Deadline deadline) { return state_->wait(deadline); }
Result<Exit> Process::try_exit() { return state_->wait(os::no_wait); }
bool Process::running() { return !state_->foreign() && !state_->settle(); }

Result<Exit> Process::terminate() { return terminate(state_->grace); }

Result<Exit> Process::terminate(std::chrono::milliseconds grace) {
  if (state_->foreign()) return state_->wait(os::no_wait);
  if (auto ended = state_->settle()) return *std::move(ended);
  channel_.close();
  if (auto ended = state_->wait(grace)) return ended;
  if (state_->placement == Placement::thread) return state_->wait(os::no_wait);
  static_cast<void>(os::send_signal(state_->pidfd, SIGTERM));
  if (auto ended = state_->wait(grace)) return ended;
  return state_->kill({});
}

Result<Exit> Process::kill(std::string hang) { return state_->kill(std::move(hang)); }

FdView Process::pidfd() const noexcept { return state_->pidfd; }
const SandboxReport& Process::sandbox_report() const noexcept { return state_->report; }

FdView Process::output() const noexcept {
  return state_->output == Output::Kind::captured ? state_->reading.view() : FdView{};
}
void Process::forward_output() { state_->forward_output(); }

}  // namespace bulkhead

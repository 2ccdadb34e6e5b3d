// SPDX-License-Identifier: Apache-2.0
#include "process/process_state.hpp"

#include <algorithm>
#include <array>
#include <csignal>

#include "os/pidfd.hpp"
#include "os/poll.hpp"

namespace bulkhead::detail {
namespace {

using namespace std::chrono_literals;

/// For SIGKILL to be carried out. A process that waits for a broken disk or file server, or that a
/// debugger holds, can take longer than anybody should be made to wait.
constexpr std::chrono::seconds kill_limit{30};

std::unexpected<Error> not_ours(const ProcessState& state) {
  return fail(ErrorKind::invalid,
              {.operation = "wait for",
               .object = state.who(),
               .cause = "it is a child of process " + std::to_string(state.owner) +
                        ", of which this one is a forked copy"});
}

/// Independent children whose Process has gone: somebody has to reap them.
struct Released {
  std::mutex mutex;
  std::vector<Fd> pidfds;
};
Released& released() {
  static auto* const instance = new Released;
  return *instance;
}

}  // namespace

void ProcessState::release() {
  {
    const std::lock_guard guard{mutex};
    lifeline = {};
    const std::lock_guard also{released().mutex};
    released().pidfds.push_back(std::move(pidfd));
  }
  reap_released();
}

void reap_released() {
  const std::lock_guard guard{released().mutex};
  std::erase_if(released().pidfds, [](const Fd& pidfd) {
    if (!os::ending(pidfd)) return false;
    os::reap(pidfd);
    return true;
  });
}

ProcessState::~ProcessState() {
  if (!thread.joinable()) return;
  if (foreign()) {
    thread.detach();  // it runs in the original only
  } else {
    thread.join();
  }
}

std::optional<Exit> ProcessState::settle() {
  const std::lock_guard guard{mutex};
  if (exit) return exit;
  if (placement == Placement::process) return settle_process();
  const auto events = os::poll_one(pidfd, POLLIN, os::no_wait);
  if (!events || *events == 0) return std::nullopt;
  if (thread.joinable()) thread.join();
  return exit = Exit::exited(0);
}

std::optional<Exit> ProcessState::settle_process() {
  const auto ending = os::ending(pidfd);
  if (!ending) return std::nullopt;
  // While its leader is unreaped the group cannot be anybody else's.
  lifeline.cut();
  os::reap(pidfd);
  exit = process::judge(*ending, process::hear(vitals), limits);
  if (!hang.empty() && exit->cause == Exit::Cause::signal && exit->signal == SIGKILL) {
    exit = Exit::of(Exit::Cause::hang, hang);
  }
  lifeline = {};
  vitals.close();
  if (prefixer) prefixer->forward(reading);
  return exit;
}

Result<Exit> ProcessState::wait(Deadline deadline) {
  if (foreign()) return not_ours(*this);
  bool reads = output == Output::Kind::prefixed;
  for (;;) {
    if (auto ended = settle()) return *std::move(ended);
    std::array<pollfd, 2> fds{{{.fd = pidfd.native(), .events = POLLIN, .revents = 0},
                               {.fd = reading.native(), .events = POLLIN, .revents = 0}}};
    const auto ready = BULKHEAD_TRY(os::poll({fds.data(), reads ? 2u : 1u}, deadline));
    if (ready == 0) {
      if (deadline == os::no_wait) return fail(ErrorKind::empty);
      return fail(ErrorKind::timed_out, {.operation = "wait for", .object = who()});
    }
    if (reads && fds[1].revents != 0) {
      const std::lock_guard guard{mutex};
      reads = prefixer->forward(reading);
    }
    // Ended and yet not to be waited for: a debugger has it and will let it go when it wants to.
    if (fds[0].revents != 0 && !settle()) static_cast<void>(os::poll({}, 10ms));
  }
}

Result<Exit> ProcessState::kill(std::string why) {
  if (foreign()) return not_ours(*this);
  if (placement == Placement::thread) {
    return fail(ErrorKind::unsupported, {.operation = "kill",
                                         .object = who(),
                                         .cause = "it is a thread of this process",
                                         .remedy = "close its channel, or spawn it as a process"});
  }
  begin_kill(std::move(why));
  return wait(kill_limit);
}

void ProcessState::begin_kill(std::string why) {
  const std::lock_guard guard{mutex};
  if (exit) return;
  hang = std::move(why);
  // A child that has just ended is no error: wait tells.
  static_cast<void>(os::send_signal(pidfd, SIGKILL));
  lifeline.cut();
}

void ProcessState::forward_output() {
  if (foreign()) return;
  const std::lock_guard guard{mutex};
  if (prefixer) prefixer->forward(reading);
}

std::optional<std::pair<std::string, Exit>> ProcessState::obituary(Deadline deadline) {
  auto ended = wait(deadline);
  if (!ended) return std::nullopt;
  return std::pair{who(), *std::move(ended)};
}

}  // namespace bulkhead::detail

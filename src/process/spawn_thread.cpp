// SPDX-License-Identifier: Apache-2.0
// A role as a thread of this process: the same two faces, nothing between them.
#include <sys/eventfd.h>
#include <system_error>

#include "channel/channel_state.hpp"
#include "os/syscall.hpp"
#include "process/bootstrap_state.hpp"
#include "process/process_state.hpp"
#include "process/spawn.hpp"

namespace bulkhead::process {
namespace {

using detail::BootstrapState;
using detail::ProcessState;

void run_role(detail::RoleEntry entry, std::unique_ptr<BootstrapState> state, int ended) noexcept {
  {
    Bootstrap boot = BootstrapState::make(std::move(state));
    entry(boot);
  }
  ::eventfd_write(ended, 1);
}

Result<void> check(const SpawnOptions& options) {
  if (!options.sandbox.confines()) return {};
  return fail(ErrorKind::unsupported, {.cause = "a thread cannot have a sandbox of its own",
                                       .remedy = "use Placement::process"});
}

}  // namespace

Result<Process> spawn_thread(detail::RoleEntry entry, SpawnOptions& options) {
  BULKHEAD_TRY(check(options));
  auto ended = Fd::adopt(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!ended) return os::failed("make", "eventfd");
  ChannelOptions channel = options.channel;
  channel.trust = options.trust.value_or(Trust::equal);
  auto links = BULKHEAD_TRY(transport::make_pair(Mechanism::inproc, channel));

  auto inside = std::make_unique<BootstrapState>(
      detail::ChannelState::make(std::move(links.second), Trust::equal));
  inside->name = options.name;
  inside->placement = Placement::thread;
  inside->report.name = options.sandbox.name;
  inside->channels = std::move(options.channels.items());
  inside->regions = std::move(options.regions.items());
  inside->descriptors = std::move(options.descriptors.items());
  inside->arguments = std::move(options.arguments);

  auto state = std::make_shared<ProcessState>();
  state->name = options.name;
  state->pid = ::getpid();
  state->placement = Placement::thread;
  state->grace = options.grace;
  state->report = inside->report;
  const int ended_fd = ended.native();
  state->pidfd = std::move(ended);
#if __cpp_exceptions
  try {
#endif
    state->thread = std::thread{run_role, entry, std::move(inside), ended_fd};
#if __cpp_exceptions
  } catch (const std::system_error& error) {
    return fail(
        Error::from_errno(error.code().value(), {.operation = "start", .object = "thread"}));
  }
#endif
  return ProcessState::make(std::move(state),
                            detail::ChannelState::make(std::move(links.first), channel.trust));
}

}  // namespace bulkhead::process

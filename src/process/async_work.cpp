// SPDX-License-Identifier: Apache-2.0
#include <bulkhead/detail/process_work.hpp>

#include "os/poll.hpp"
#include "process/process_state.hpp"

namespace bulkhead::detail {

Ending::Ending(Process& process) noexcept : state_(ProcessState::share(process)) {}

Result<Exit> Ending::attempt() { return state_->wait(os::no_wait); }

Result<FdView> Ending::watch() { return state_->pidfd.view(); }

Error Ending::give_up(ErrorKind why) {
  return {why, {.operation = "wait for", .object = state_->who()}};
}

}  // namespace bulkhead::detail

// SPDX-License-Identifier: Apache-2.0
//
// Child processes by pidfd: never by number, so that no other process is waited for or signalled
// that got the number later. Nothing here blocks; a pidfd polls readable when its process has
// ended.
#pragma once

#include <optional>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::os {

/// How a process ended, by the kernel's word.
struct Ending {
  enum class Kind { exited, signalled, taken };  ///< taken: somebody else reaped it
  Kind kind = Kind::taken;
  int number = 0;  ///< exit code or signal
};

/// How it ended, leaving it unreaped; nothing while it runs. One that was reaped by somebody else
/// (a waitpid(-1) in this process, SIGCHLD ignored) is still told by Linux 6.15 and later; before,
/// it is `taken`.
std::optional<Ending> ending(FdView pidfd);

/// Reaps it if it has ended and nobody else has.
void reap(FdView pidfd);

/// `peer_died` when it has ended.
Result<void> send_signal(FdView pidfd, int signal);

}  // namespace bulkhead::os

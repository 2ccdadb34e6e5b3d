// SPDX-License-Identifier: Apache-2.0
//
// Starts a program in a new process, the way posix_spawn does: the child borrows this process's
// memory, on a stack of its own, until its exec, while the calling thread is suspended (CLONE_VM |
// CLONE_VFORK). So a large process starts one as fast as a small one, no copy of a lock is ever
// held in the child, and a failure before exec is told by plain memory.
//
// Everything that runs in the child before exec is in fork_gap.cpp: system calls only.
#pragma once

#include <sys/types.h>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::process {

/// The descriptor that the child finds its bootstrap socket under.
inline constexpr int bootstrap_fd = 3;

/// All descriptors are this process's; the child gets copies of these and of no others.
struct GapPlan {
  FdView executable;
  const char* const* arguments = nullptr;    // as execve(2)
  const char* const* environment = nullptr;  // as execve(2)
  FdView standard[3] = {};                   // input, output, error; all set
  FdView bootstrap;                          // becomes bootstrap_fd
  const char* directory = nullptr;           // or null
  bool own_group = true;
};

struct Started {
  pid_t pid = 0;
  Fd pidfd;
};

/// Returns when the child has called exec. Its signals are all unblocked and at their default.
/// Errors: `exhausted` without room for a process or a descriptor, `not_found` for the folder, and
/// what exec says. Then there is no child.
Result<Started> start(const GapPlan& plan);

}  // namespace bulkhead::process

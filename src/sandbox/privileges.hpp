// SPDX-License-Identifier: Apache-2.0
//
// Layers no_new_privs, privileges and not dumpable: what the process itself may still become, and
// who may look into it. All of them are required.
#pragma once

#include <bulkhead/result.hpp>

namespace bulkhead::sandbox {

/// No program that it could start gains privileges by its file; also what lets a normal user
/// install a filter and Landlock rules. prctl(2), Linux 3.5.
Result<void> set_no_new_privs();

/// Empties every capability set, for root and inside a user namespace too.
Result<void> drop_capabilities();

/// No core dump, no ptrace, and /proc/PID/{mem,maps,fd,environ} of ours belong to root.
Result<void> set_not_dumpable();

/// A parent that runs with READ_IMPLIES_EXEC would make every readable page of ours executable.
Result<void> reset_personality();

}  // namespace bulkhead::sandbox

// SPDX-License-Identifier: Apache-2.0
//
// Which process or thread a number means: numbers come again, the moment of a start with its number
// does not, within one boot and one process namespace.
#pragma once

#include <cstdint>
#include <sys/types.h>

namespace bulkhead::os {

/// When it started: field 22 of /proc/PID/stat (proc(5)), in clock ticks since the boot; 0 when there
/// is none or it cannot be seen.
std::uint64_t start_of(pid_t process) noexcept;
/// The same of a thread of that process; 0 from when it ends, which is before it loses its robust
/// locks.
std::uint64_t start_of(pid_t process, pid_t thread) noexcept;

/// A hash of this boot's id.
std::uint64_t this_boot() noexcept;
/// The process namespace of the caller; 0 when it cannot be seen.
std::uint64_t process_namespace() noexcept;

}  // namespace bulkhead::os

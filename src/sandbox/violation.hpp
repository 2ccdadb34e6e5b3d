// SPDX-License-Identifier: Apache-2.0
//
// For the SIGSYS handler of a sandboxed process and for the parent that hears from it.
#pragma once

#include <csignal>
#include <string>

namespace bulkhead::sandbox {

/// Async-signal-safe. True when the forbidden call was one of libc's harmless probes (opening
/// /sys/devices/system/cpu/online, /proc/sys/vm/overcommit_memory, ...): it has then been answered
/// with EACCES and the handler returns. False: report info->si_syscall and end the process.
bool answer_probe(const siginfo_t* info, void* context) noexcept;

/// "openat" for its number on this machine; "system call 999" for one without a name. Not
/// async-signal-safe: for the parent.
std::string call_name(int number);

}  // namespace bulkhead::sandbox

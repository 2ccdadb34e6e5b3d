// SPDX-License-Identifier: Apache-2.0
//
// For the SIGSYS handler of a sandboxed process and for the parent that hears from it.
#pragma once

#include <csignal>
#include <string>

#include <bulkhead/result.hpp>

namespace bulkhead::sandbox {

/// Async-signal-safe. True when the forbidden call was one of libc's harmless probes (opening
/// /sys/devices/system/cpu/online, /proc/sys/vm/overcommit_memory, ...): it has then been answered
/// with EACCES and the handler returns. False: report info->si_syscall and end the process.
bool answer_probe(const siginfo_t* info, void* context) noexcept;

/// Async-signal-safe; gets the number of the forbidden call and the context of the handler.
using ViolationReport = void (*)(int call, void* context) noexcept;

/// Installs a SIGSYS handler that answers probes, has anything else reported (null: it is not) and
/// then ends the process by SIGSYS, as if there were no handler. Before the filter is loaded:
/// afterwards nobody can change it. The handler runs on the alternate stack where there is one.
Result<void> handle_violations(ViolationReport report);

/// "openat" for its number on this machine; "system call 999" for one without a name. Not
/// async-signal-safe: for the parent.
std::string call_name(int number);

}  // namespace bulkhead::sandbox

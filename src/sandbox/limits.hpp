// SPDX-License-Identifier: Apache-2.0
//
// Layer limits: setrlimit(2) for memory, file size, descriptors, CPU time and processes; never a
// core dump. A limit only goes down, and both its values, so that the process cannot raise it.
//
// Memory has two: RLIMIT_DATA counts private writable memory (heap, stacks), which is what a leak
// or a bomb grows; RLIMIT_AS counts address space, for memory shared with others. RLIMIT_AS alone
// would have to allow for the 64 MiB that glibc reserves for each thread. What a process keeps in
// memory files that it does not map is bounded by file_bytes times descriptors only.
#pragma once

#include <bulkhead/result.hpp>
#include <bulkhead/sandbox.hpp>

namespace bulkhead::sandbox {

enum class OwnNamespaces : bool { no, yes };

/// What the process has when it starts; read from /proc, so before the root folder is changed.
struct Footprint {
  std::uint64_t data_bytes = 0;
  std::uint64_t mapped_bytes = 0;
};
Footprint footprint();

/// `own`: whether the process count of our user is counted for us alone.
Result<void> set_limits(const Sandbox::Limits& limits, const Footprint& now, OwnNamespaces own);

}  // namespace bulkhead::sandbox

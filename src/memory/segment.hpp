// SPDX-License-Identifier: Apache-2.0
//
// System V shared memory, sysvipc(7): found by a key, and removed by nobody when its users are gone.
//
// The kernel counts who has it attached (shm_nattch), processes that died not, so what nobody uses
// is known; but a segment cannot be removed on the condition that nobody uses it. So whoever makes,
// attaches or removes one through this library does it under a lock of this user
// (os::lock_segments()), for the few system calls that it takes.
//
// STATE of one that ends with its users
//   none --make: record, shmget, what was made--> in use --the last user's leave()--> removed
//   in use --the last user is killed--> stale: not attached, and a record tells of it
//   stale --open() or make() of the next, or `bulkhead clean`--> removed
#pragma once

#include <optional>
#include <sys/types.h>

#include <bulkhead/memory_name.hpp>
#include <bulkhead/result.hpp>

#include "memory/mapping.hpp"
#include "memory/path_memory.hpp"
#include "os/names.hpp"

namespace bulkhead::memory {

struct Segment {
  Mapping mapping;
  std::size_t size = 0;
  std::optional<os::NameRecord> record;
  pid_t owner = 0;
  std::optional<os::NameLock> lock;  ///< while it is being made: nobody else can attach it
};

/// Holds the lock of all segments until `lock` is reset. One that is there and not in use is
/// replaced when `is_unfinished(its bytes)`; else `exists`.
Result<Segment> make_segment(const MemoryName& name, std::size_t size, Ends ends, const Wish& wish,
                             bool (*is_unfinished)(const std::byte* at, std::size_t size));
Result<Segment> open_segment(const MemoryName& name, const Wish& wish);
/// Detaches it; removes it when nobody else has it and it ends so.
void leave(Segment& segment) noexcept;
Result<void> remove_segment(const MemoryName& name);

}  // namespace bulkhead::memory

// SPDX-License-Identifier: Apache-2.0
//
// Memory with a name in a folder: POSIX shared memory (/dev/shm) and files.
//
// It is made without a name, filled, and given its name as the last step, which fails when the name
// is taken (os/draft.hpp). So nobody ever finds half of one, of many makers one wins, and a maker that
// is killed before that step leaves nothing, or what `bulkhead clean` removes.
//
// STATE of POSIX memory that ends with its users (Keep::while_used); who uses it holds a shared lock
// (flock(2)) on the file, which the kernel drops when the process is gone
//   nameless --give_name: record, then link--> named, in use
//   in use --the last user's leave(): exclusive lock got--> removed
//   in use --the last user is killed--> stale: nobody has it locked, and a record tells whose it was
//   stale --open() by the next, or `bulkhead clean`: exclusive lock got--> removed
// Who opens what somebody has on record records itself, takes the lock, and then looks whether the
// file still has a name; who removes does so under the exclusive lock, and drops its record last. So
// at every moment somebody's record tells of it. What no record tells of (Keep::until_removed, other
// programs' memory) is never removed but by remove_path().
#pragma once

#include <optional>
#include <string>
#include <sys/types.h>

#include <bulkhead/fd.hpp>
#include <bulkhead/memory_name.hpp>
#include <bulkhead/result.hpp>

#include "os/draft.hpp"
#include "os/name_record.hpp"

namespace bulkhead::memory {

enum class Ends : std::uint8_t { with_users, when_removed };

struct PathMemory {
  Fd file;
  os::Aside aside;  ///< while it has not its name
  std::string path;
  std::size_t size = 0;  ///< of the whole file
  std::optional<os::NameRecord> record;
  pid_t owner = 0;
};

/// "posix_memory table", "file /var/lib/words": for errors.
std::string title_of(const MemoryName& name);

/// Without its name yet; all space reserved: `exhausted` where it is short.
Result<PathMemory> make_path_memory(const MemoryName& name, std::size_t size, Ends ends);
/// `exists` when somebody has that name.
Result<void> give_name(PathMemory& memory, const MemoryName& name);
/// `not_found`, also for what its dead users left. `denied` for what others can write.
Result<PathMemory> open_path_memory(const MemoryName& name);
/// This process uses it no more. Removes it when nobody else does and it ends so.
void leave(PathMemory& memory) noexcept;

Result<void> remove_path(const MemoryName& name);

}  // namespace bulkhead::memory

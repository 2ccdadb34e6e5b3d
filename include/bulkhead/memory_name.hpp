// SPDX-License-Identifier: Apache-2.0
//
// MemoryName: by what name memory is found: POSIX shared memory, System V shared memory, a file or
// device or a part of one. A value; it opens nothing.
//
//   SharedRegion::open_or_create(posix_memory("table"), 1 << 20);
//   Region::open(file_memory("/var/lib/words", 4096, 8192), {.writes = Region::Writes::stay_private});
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <sys/types.h>
#include <utility>

namespace bulkhead {

struct MemoryName {
  enum class Kind : std::uint8_t { posix, system_v, file };

  Kind kind;
  std::string name;      ///< without the slash that shm_open(3) wants; or a path
  key_t key;             ///< of System V memory
  std::uint64_t offset;  ///< where in the file it begins, at any byte
  std::size_t length;    ///< 0: to its end

  MemoryName(Kind of, std::string called, key_t number, std::uint64_t from, std::size_t bytes)
      : kind(of), name(std::move(called)), key(number), offset(from), length(bytes) {}
};

/// POSIX shared memory, shm_overview(7): other programs find it as "/NAME", people in /dev/shm.
inline MemoryName posix_memory(std::string name) {
  return {MemoryName::Kind::posix, std::move(name), 0, 0, 0};
}

/// System V shared memory, sysvipc(7): a number that all programs of this machine share; ipcs(1).
inline MemoryName system_v_memory(key_t key) { return {MemoryName::Kind::system_v, {}, key, 0, 0}; }

/// A file, whole or `length` bytes of it from `offset` on. A device, for Region alone; of one whose
/// size the kernel does not know the length must be given.
inline MemoryName file_memory(std::string path, std::uint64_t offset = 0, std::size_t length = 0) {
  return {MemoryName::Kind::file, std::move(path), 0, offset, length};
}

}  // namespace bulkhead

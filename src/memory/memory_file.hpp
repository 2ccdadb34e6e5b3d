// SPDX-License-Identifier: Apache-2.0
//
// Memory files (memfd_create(2)) and their seals: the part of the shared-memory model that the
// kernel enforces. Region and the shm transport's segments are both made of them.
//
// STATE (seals only ever grow)
//   shared     SHRINK | GROW                         make(): whoever has it can write, nobody
//   resize published  SHRINK | GROW | FUTURE_WRITE | SEAL   seal(published), with the maker's
//   mapping made
//              before: that one mapping writes on; no new one, no write(2), no hole
//   frozen     SHRINK | GROW | WRITE | SEAL          seal(frozen), with no writable mapping left
//
// FUTURE_WRITE leaves existing writable mappings alone (fcntl(2), Linux 5.1): publish before the
// descriptor is given to anybody.
#pragma once

#include <cstddef>

#include <bulkhead/fd.hpp>
#include <bulkhead/region.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::memory {

/// A memory file of `size` bytes, all reserved, that nobody can resize; not executable where the
/// kernel knows how. `exhausted` when the space, the file size limit or a descriptor is missing;
/// nothing stays behind then and no signal is raised. Named bulkhead-NAME, cut to what fits.
/// `growable`: not sealed against growing. `huge`: of the kernel's reserved huge pages.
struct FileKind {
  bool growable = false;
  bool huge = false;
};
Result<Fd> make_memory_file(const char* name, std::size_t size, FileKind kind = {});

/// `exhausted` for more than this process may write (RLIMIT_FSIZE) or this machine has.
Result<void> check_memory_limits(std::size_t size);

/// Adds the seals of `state` (published or frozen). `invalid` when frozen is asked for while a
/// writable mapping exists anywhere.
Result<void> seal(FdView file, Region::State state);

struct MemoryFile {
  std::size_t size = 0;
  Region::State state = Region::State::shared;
};

/// What `file` is, asked of the kernel alone: never reads it, never blocks, whatever kind of
/// descriptor it is. TRUST: `corrupt` unless it is a memory file in one of the three states, with
/// all its space reserved, so that no access to a mapping of `size` bytes can fault, now or later.
Result<MemoryFile> inspect(FdView file);

/// The size of a memory file that several write: `corrupt` unless it is `shared`, or one that can
/// only grow. Of huge pages too: only for peers of equal trust.
Result<std::size_t> inspect_shared(FdView file);
bool is_of_huge_pages(FdView file);

}  // namespace bulkhead::memory

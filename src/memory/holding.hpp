// SPDX-License-Identifier: Apache-2.0
//
// Holding: what a SharedRegion has of the system: a descriptor, a mapping, a share in a name. Gives
// all of it back in the right order: the bytes first, then the name.
#pragma once

#include <bulkhead/shared_region.hpp>

#include "memory/mapping.hpp"
#include "memory/path_memory.hpp"
#include "memory/segment.hpp"

namespace bulkhead::memory {

struct Holding {
  SharedRegion::Options options;
  MemoryName name;
  Mapping mapping;
  PathMemory path;  ///< posix, file; of a memory file its descriptor alone
  Segment segment;  ///< system_v, with a mapping of its own

  Holding(SharedRegion::Options wanted, MemoryName called) noexcept
      : options(wanted), name(std::move(called)) {
    options.name = "";  // the caller's text, which need not stay
  }
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;
  ~Holding() {
    mapping.unmap();
    leave(segment);
    if (path.record) leave(path);
  }
};

}  // namespace bulkhead::memory

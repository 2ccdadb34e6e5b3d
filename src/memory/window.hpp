// SPDX-License-Identifier: Apache-2.0
//
// Window: what a Region has of a file, a device or memory that has a name.
//
// TRUST: whoever may write a file may cut it at any moment. Its size is asked when it is opened and
// is true then only; what is read later through the mapping is judged by check(), through the kernel
// by how much came.
#pragma once

#include <bulkhead/memory_name.hpp>
#include <bulkhead/region.hpp>

#include "memory/mapping.hpp"

namespace bulkhead::memory {

struct Window {
  MemoryName name;
  Region::View view;
  Fd file = {};  ///< none of System V memory
  Mapping mapping = {};
  std::size_t size = 0;
  bool can_be_cut = false;
};

Result<Window> open_window(const MemoryName& name, const Region::View& view);
Result<std::size_t> read(const Window& window, std::uint64_t offset, MutableBytes into);
Result<void> write(const Window& window, std::uint64_t offset, Bytes from);
Result<void> check(const Window& window);

}  // namespace bulkhead::memory

// SPDX-License-Identifier: Apache-2.0
//
// How the containers of an Arena reach the session that their thread has in it: what
// bulkhead/arena_containers.hpp declares too, which this library does not include for its size.
#pragma once

#include <cstddef>

#include <bulkhead/detail/export.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::memory {
class Heap;
}

namespace bulkhead::detail {

BULKHEAD_API Result<void*> arena_allocate(const void* arena, std::size_t size,
                                          std::size_t alignment);
BULKHEAD_API Result<void> arena_deallocate(const void* arena, void* at);
BULKHEAD_API void* arena_of(const memory::Heap& heap) noexcept;

}  // namespace bulkhead::detail

// SPDX-License-Identifier: Apache-2.0
//
// The header before an object in a SharedRegion: what it is, so that nobody takes it for another.
//
// LAYOUT, at the beginning of the region (64 bytes; all written by the maker alone, before `state`)
//   0   8  magic      "BHshared"; read on a machine of the other byte order it is another word
//   8   2  version    of this header
//   10  1  word_size  of a pointer, in bytes
//   11  1  order      1 little endian, 2 big endian
//   12  4  state      unborn, being_made, ready (below)
//   16  8  layout     hash of the type (shared.hpp)
//   24  8  size       of the object
//   32  8  alignment  of the object
//   40  8  offset     of the object from the beginning of the region
//   48  8  capacity   size of the region when it was made
//   56  4  spare      0
//   60  4  crc        CRC32C of the header with state and crc 0
//
// STATE unborn --begin()--> being_made --ready()--> ready; nothing leads out of ready. Its values
// differ in many bits, so that one that flips makes none of them into another.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace bulkhead {
class SharedRegion;
}

namespace bulkhead::memory {

struct SharedHeader {
  static constexpr std::uint64_t right_magic = 0x6465726168734842U;  // "BHshared"
  static constexpr std::uint16_t right_version = 1;
  enum : std::uint32_t { unborn = 0, being_made = 0x6b616d2e, ready = 0x79646572 };

  std::uint64_t magic;
  std::uint16_t version;
  std::uint8_t word_size;
  std::uint8_t order;
  std::uint32_t state;
  std::uint64_t layout;
  std::uint64_t size;
  std::uint64_t alignment;
  std::uint64_t offset;
  std::uint64_t capacity;
  std::uint32_t spare;
  std::uint32_t crc;
};
static_assert(sizeof(SharedHeader) == 64 && offsetof(SharedHeader, version) == 8 &&
              offsetof(SharedHeader, word_size) == 10 && offsetof(SharedHeader, order) == 11 &&
              offsetof(SharedHeader, state) == 12 && offsetof(SharedHeader, layout) == 16 &&
              offsetof(SharedHeader, size) == 24 && offsetof(SharedHeader, alignment) == 32 &&
              offsetof(SharedHeader, offset) == 40 && offsetof(SharedHeader, capacity) == 48 &&
              offsetof(SharedHeader, spare) == 56 && offsetof(SharedHeader, crc) == 60);

/// How large the region was when its object was made. REQUIRES: found by shared_find() or begun here.
std::uint64_t capacity_of(const SharedRegion& region) noexcept;

}  // namespace bulkhead::memory

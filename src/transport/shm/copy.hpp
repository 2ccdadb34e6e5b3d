// SPDX-License-Identifier: Apache-2.0
//
// Copying into and out of a ring.
//
// From about 2 KB up glibc copies with `rep movsb`, and processors of AMD's Zen kind then fall to
// 1/28 of their speed when the destination lies 1 to 63 bytes after the source modulo 4096: just
// what an 8-byte record header before the payload makes of a page-aligned buffer. That case, and
// only that, goes through a loop of our own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bulkhead::transport::shm {

/// As memcpy, through vector registers whatever the addresses.
void copy_by_vectors(std::byte* to, const std::byte* from, std::size_t size) noexcept;

inline bool is_slow_copy(const std::byte* to, const std::byte* from, std::size_t size) noexcept {
  const auto distance =
      (reinterpret_cast<std::uintptr_t>(to) - reinterpret_cast<std::uintptr_t>(from)) % 4096;
  return size >= 2048 && distance - 1 < 63;
}

/// 32 to 64 bytes, from both ends: four moves that may overlap.
inline void copy_short(std::byte* to, const std::byte* from, std::size_t size) noexcept {
  struct Half {
    std::uint64_t words[4];
  };
  Half first;
  Half last;
  std::memcpy(&first, from, sizeof first);
  std::memcpy(&last, from + size - sizeof last, sizeof last);
  std::memcpy(to, &first, sizeof first);
  std::memcpy(to + size - sizeof last, &last, sizeof last);
}

inline void copy_bytes(std::byte* to, const std::byte* from, std::size_t size) noexcept {
  if (size - 32 <= 32) {
    copy_short(to, from, size);  // small messages: without a call
  } else if (is_slow_copy(to, from, size)) [[unlikely]] {
    copy_by_vectors(to, from, size);
  } else if (size != 0) {
    std::memcpy(to, from, size);
  }
}

}  // namespace bulkhead::transport::shm

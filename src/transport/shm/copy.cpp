// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/copy.hpp"

namespace bulkhead::transport::shm {
namespace {

/// Copies blocks of 64 bytes from the end to the beginning and gives back how many bytes are left
/// in front. Backwards, because a load just behind a store in all but its upper address bits waits
/// for it: going forwards, every block would.
template <class Vector>
[[gnu::always_inline]] inline std::size_t copy_blocks(std::byte* to, const std::byte* from,
                                                      std::size_t size) noexcept {
  constexpr std::size_t vectors = 64 / sizeof(Vector);
  for (; size >= 64; size -= 64) {
    // Keeps the compiler from seeing a memcpy in the loop, which it would call.
    asm volatile("" : : : "memory");
    Vector block[vectors];
    std::memcpy(block, from + size - 64, sizeof block);  // of a constant size: moves, not a call
    std::memcpy(to + size - 64, block, sizeof block);
  }
  return size;
}

using Narrow [[gnu::vector_size(16)]] = long long;

std::size_t copy_narrow(std::byte* to, const std::byte* from, std::size_t size) noexcept {
  return copy_blocks<Narrow>(to, from, size);
}

#if defined(__x86_64__)
using Wide [[gnu::vector_size(32)]] = long long;

[[gnu::target("avx2")]] std::size_t copy_wide(std::byte* to, const std::byte* from,
                                              std::size_t size) noexcept {
  for (; size >= 64; size -= 64) {
    asm volatile("" : : : "memory");
    Wide low;
    Wide high;
    std::memcpy(&low, from + size - 64, sizeof low);
    std::memcpy(&high, from + size - 32, sizeof high);
    std::memcpy(to + size - 32, &high, sizeof high);
    std::memcpy(to + size - 64, &low, sizeof low);
  }
  return size;
}

std::size_t copy_tail_first(std::byte* to, const std::byte* from, std::size_t size) noexcept {
  static const bool wide = __builtin_cpu_supports("avx2") != 0;
  return wide ? copy_wide(to, from, size) : copy_narrow(to, from, size);
}
#else
std::size_t copy_tail_first(std::byte* to, const std::byte* from, std::size_t size) noexcept {
  return copy_narrow(to, from, size);
}
#endif

}  // namespace

void copy_by_vectors(std::byte* to, const std::byte* from, std::size_t size) noexcept {
  const std::size_t left = copy_tail_first(to, from, size);
  if (left != 0) std::memcpy(to, from, left);
}

}  // namespace bulkhead::transport::shm

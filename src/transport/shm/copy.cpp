// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/copy.hpp"

namespace bulkhead::transport::shm {
namespace {

/// Four registers of 16 bytes: every processor of the two families that we know has them, and the
/// loop is bound by the cache, not by their width.
struct Block {
  std::uint64_t words[8];
};

void move(std::byte* to, const std::byte* from) noexcept {
  Block block;
  std::memcpy(&block, from, sizeof block);  // of a constant size: moves, not a call
  std::memcpy(to, &block, sizeof block);
}

}  // namespace

void copy_by_vectors(std::byte* to, const std::byte* from, std::size_t size) noexcept {
  std::size_t at = 0;
  for (; at + sizeof(Block) <= size; at += sizeof(Block)) {
    // Keeps the compiler from seeing a memcpy in the loop, which it would call.
    asm volatile("" : : : "memory");
    move(to + at, from + at);
  }
  if (at < size) std::memcpy(to + at, from + at, size - at);
}

}  // namespace bulkhead::transport::shm

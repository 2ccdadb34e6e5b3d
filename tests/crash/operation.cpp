// SPDX-License-Identifier: Apache-2.0
#include "crash/operation.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace bulkhead::crash {

std::vector<Operation> real_operations() {
  std::vector<Operation> all;
  for (auto* const make : {shm_operations, meeting_operations, file_operations, mmap_operations,
                           lock_operations, memory_operations, arena_operations, region_operations})
    std::ranges::move(make(), std::back_inserter(all));
  return all;
}

std::vector<Operation> all_operations() {
  auto all = real_operations();
  std::ranges::move(naive_operations(), std::back_inserter(all));
  for (auto& pairing : pairings()) std::ranges::move(pairing.halves, std::back_inserter(all));
  return all;
}

std::vector<std::byte> content(std::uint64_t number, std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::byte>(number * 131 + i * 7 + i / 256 + size);
  }
  if (size >= sizeof number) std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

bool has_content(Bytes bytes, std::uint64_t number, std::size_t size) {
  const auto expected = content(number, size);
  return bytes.size() == size &&
         (size == 0 || std::memcmp(bytes.data(), expected.data(), size) == 0);
}

}  // namespace bulkhead::crash

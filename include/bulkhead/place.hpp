// SPDX-License-Identifier: Apache-2.0
//
// Place: the right to put a lock, or something that holds one, into memory that several processes
// write. Only Shared<T> and Arena hand one out, over a SharedRegion; so a lock in memory that an
// untrusted process can reach does not compile: a robust lock there would let that process write
// anywhere in this one.
//
//   struct Account {
//     explicit Account(Place place) : lock(place, "account") {}
//     Mutex lock;
//     std::int64_t balance = 0;
//   };
//   auto account = or_exit(Shared<Account>::open_or_create(posix_memory("account")));
//
// A value, good for as long as the mapping it speaks of; never stored in shared memory itself, for
// it holds an address of this process. Any thread may read it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bulkhead {

class SharedRegion;

class Place {
 public:
  /// Which region: the same number in each process that has it mapped, another for each other one.
  std::uint64_t region() const noexcept { return region_; }

  /// `size` bytes at `at` lie in the region. What is made elsewhere with this Place is not shared.
  bool holds(const void* at, std::size_t size) const noexcept {
    const auto* const first = static_cast<const std::byte*>(at);
    return first >= base_ && size <= size_ && first <= base_ + (size_ - size);
  }
  /// Where in the region, the same in each process. REQUIRES: holds(at, 1).
  std::uint64_t offset_of(const void* at) const noexcept {
    return static_cast<std::uint64_t>(static_cast<const std::byte*>(at) - base_);
  }

 private:
  friend class SharedRegion;
  Place(const std::byte* base, std::size_t size, std::uint64_t region) noexcept
      : base_(base), size_(size), region_(region) {}

  const std::byte* base_;
  std::size_t size_;
  std::uint64_t region_;
};

}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
//
// GuardedRange: a mapping that the SIGBUS guard looks after (bulkhead/sigbus_guard.hpp).
//
// STATE of a slot   free --take--> taken (begin, then end set) --release--> free
// The handler runs on the thread that touched the page, which uses the mapping: so the slot of a
// fault is not released meanwhile. Slots of others may change under its eyes: begin and end are
// read one by one, and a mixed pair of two ranges is refused by looking at both again.
#pragma once

#include <cstddef>
#include <utility>

namespace bulkhead::memory {

class GuardedRange {
 public:
  /// Nothing unless the guard is on; nothing, too, when 4096 mappings are watched already.
  static GuardedRange watch(const std::byte* at, std::size_t size) noexcept;

  GuardedRange() = default;
  GuardedRange(GuardedRange&& other) noexcept : slot_(std::exchange(other.slot_, -1)) {}
  GuardedRange& operator=(GuardedRange&& other) noexcept {
    release();
    slot_ = std::exchange(other.slot_, -1);
    return *this;
  }
  ~GuardedRange() { release(); }

  explicit operator bool() const noexcept { return slot_ >= 0; }
  /// A page of it was touched and was not there.
  bool is_damaged() const noexcept;
  /// Before the mapping goes.
  void release() noexcept;

 private:
  int slot_ = -1;
};

}  // namespace bulkhead::memory

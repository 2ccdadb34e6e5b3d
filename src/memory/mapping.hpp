// SPDX-License-Identifier: Apache-2.0
//
// Mapping: bytes of this process's address space over a file, a System V segment or nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

#include "memory/sigbus_guard.hpp"

namespace bulkhead::memory {

std::string words(std::size_t size);  ///< "12 bytes"

/// What the kernel is asked for beside the bytes.
struct Wish {
  bool write = true;
  bool own_copy = false;    ///< what is written stays here
  bool prefault = false;    ///< every page now
  bool locked = false;      ///< never paged out, mlock(2)
  bool huge = false;        ///< pages of the size that the kernel has reserved
  std::size_t reach = 0;    ///< as much address space, for what the file may grow to
  std::string object = {};  ///< for errors
};

class Mapping {
 public:
  static Result<Mapping> of_file(FdView file, std::uint64_t offset, std::size_t size,
                                 const Wish& wish);
  static Result<Mapping> of_nothing(std::size_t size, const Wish& wish);
  static Result<Mapping> of_segment(int id, std::size_t size, const Wish& wish);
  /// The same pages a second time.
  Result<Mapping> again(const Wish& wish) const;

  Mapping() = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping() { unmap(); }

  std::byte* data() const noexcept { return data_; }
  /// Of System V memory; -1 for other kinds.
  int segment() const noexcept { return segment_; }
  /// From now on the SIGBUS guard looks after it, when that is on: others can cut what is mapped.
  void watch() noexcept { guard_ = GuardedRange::watch(base_, length_); }
  bool is_watched() const noexcept { return static_cast<bool>(guard_); }
  bool is_damaged() const noexcept { return guard_.is_damaged(); }
  void unmap() noexcept;
  /// Pre-faults and locks the first `size` bytes as wished: again when it has grown.
  Result<void> fulfil(std::size_t size, const Wish& wish);

 private:
  std::byte* base_ = nullptr;  // of a whole page
  std::size_t length_ = 0;
  std::byte* data_ = nullptr;
  int segment_ = -1;
  GuardedRange guard_;
};

/// The size of the pages that `huge` means; 0 where the kernel has none.
std::size_t huge_page_size();

}  // namespace bulkhead::memory

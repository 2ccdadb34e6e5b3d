// SPDX-License-Identifier: Apache-2.0
//
// Heap: which pieces of an arena are taken. Two bitmaps and a note; no lists, no pointers.
//
// LAYOUT of the region of an Arena
//   0     shared_header.hpp, then ArenaHead (below)
//   ...   taken   a bit a piece: somebody has it
//   ...   begins  a bit a piece: a piece of memory that was allocated begins here
//   ...   pieces  32 bytes each, the first at a multiple of 4096
// Everything under the lock of ArenaHead, by whoever has it.
//
// STATE of the note, so that a death in the middle is finished by the next with the lock
//   none --allocate: first, count--> taking --bits set--> none
//   none --deallocate: first, count--> giving --bits cleared--> none
//   taking --recover()--> none, its bits cleared: nobody was told of that memory
//   giving --recover()--> none, its bits cleared: it was to be
// Both do the same and do it as often as they are repeated, so a death in recover() is none.
//
// TRUST: where the parts lie is computed from one number, the size when it was made (shared_header.hpp),
// read once and not more than the mapping has, in each process for itself.
// What is read in the region decides only which piece is taken next: it is less than the number of
// pieces before it is used, and every search ends at the last piece.
#pragma once

#include <cstddef>
#include <cstdint>

#include <bulkhead/mutex.hpp>
#include <bulkhead/place.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::memory {

struct ArenaHead {
  using shared_layout = void;
  enum : std::uint32_t { none = 0, taking = 1, giving = 2 };
  enum : std::uint32_t { sound = 0, in_session = 1, poisoned = 2 };

  explicit ArenaHead(Place place) : lock(place, "arena") {}

  Mutex lock;
  std::uint32_t condition = sound;
  std::uint32_t note = none;
  std::uint64_t first = 0;  ///< piece, of the note
  std::uint64_t count = 0;
  std::uint64_t generation = 0;
  std::uint64_t next = 0;  ///< piece where the next search begins
  std::uint64_t root = 0;  ///< its offset in the region; 0: there is none
  std::uint64_t root_size = 0;
  std::uint64_t root_alignment = 0;
};
static_assert(sizeof(ArenaHead) == sizeof(Mutex) + 64);

class Heap {
 public:
  static constexpr std::size_t piece = 32;

  /// Over `size` bytes of a region from its beginning, in which `head` lies. `exhausted` when not one
  /// piece fits, `invalid` when it does not begin at a page.
  static Result<Heap> over(ArenaHead& head, std::byte* region, std::size_t size);

  ArenaHead& head() const noexcept { return *head_; }
  std::uint64_t pieces() const noexcept { return pieces_; }

  Result<void*> allocate(std::size_t size, std::size_t alignment);
  Result<void> deallocate(void* at);
  /// After a death. False when the note makes no sense.
  bool recover() noexcept;
  void clear() noexcept;

  std::uint64_t taken() const noexcept;
  std::uint64_t longest_free() const noexcept;

  bool holds(const void* at) const noexcept;
  std::uint64_t offset_of(const void* at) const noexcept;
  void* at(std::uint64_t offset) const noexcept;

  Heap* outer = nullptr;  ///< the next of this thread's sessions

 private:
  std::uint64_t find(std::uint64_t count, std::uint64_t step, std::uint64_t from,
                     std::uint64_t to) const noexcept;
  void give_back(std::uint64_t first, std::uint64_t count) noexcept;
  void note(std::uint32_t what) noexcept;

  ArenaHead* head_ = nullptr;
  std::byte* region_ = nullptr;
  std::uint64_t* taken_ = nullptr;
  std::uint64_t* begins_ = nullptr;
  std::byte* base_ = nullptr;
  std::uint64_t pieces_ = 0;
};

}  // namespace bulkhead::memory

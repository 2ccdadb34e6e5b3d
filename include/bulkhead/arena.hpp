// SPDX-License-Identifier: Apache-2.0
//
// Arena: memory of any size to be had and given back inside of a SharedRegion, by any of its
// processes. arena_containers.hpp has vectors, maps and strings that live in one, and a
// std::pmr::memory_resource.
//
//   auto arena = or_exit(Arena::open_or_create(posix_memory("words"), 1 << 20));
//   auto session = or_exit(arena.enter(1s));             // nobody else is in it now
//   Words& words = *or_exit(session.root<Words>());      // the one object that all find
//   words.list.push_back(42);
//
// Who may call: any thread of any process; one Session at a time in an arena. What lies in it is
// used inside of a Session, but for memory that one process keeps to itself.
// What may block: what takes a Deadline, for another's Session: keep yours short.
// When a process dies: in allocate() or deallocate(), the next one completes or undoes it, and all
// is usable; inside of a Session the containers may be half changed, and everything is `poisoned`
// until somebody calls rebuild(), which empties the arena. What a dead process had and told nobody
// of stays taken until then.
// TRUST: processes of equal trust. All bookkeeping is two bitmaps and no pointers: whatever a vandal
// writes there, no search takes more steps than the arena has pieces, and nothing outside of it is
// touched; memory may be given to two at once. The lock and what the containers point to are not so:
// who writes those can stop or crash whoever uses them. Calls have deadlines; more cannot be done.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <sys/types.h>
#include <type_traits>
#include <utility>

#include <bulkhead/deadline.hpp>
#include <bulkhead/detail/export.hpp>
#include <bulkhead/memory_name.hpp>
#include <bulkhead/mutex.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/shared_region.hpp>

namespace bulkhead {

namespace memory {
struct ArenaHead;
class Heap;
}  // namespace memory

template <class T> class ArenaAllocator;

class BULKHEAD_API Arena {
 public:
  class Session;
  using Options = SharedRegion::Options;

  /// Pieces are handed out in multiples of this, and lie at one.
  static constexpr std::size_t piece_bytes = 32;
  static constexpr std::size_t most_alignment = 4096;

  /// A new one of `size` bytes in all; less than a hundredth of them and two pages are its own.
  static Result<Arena> create(std::size_t size, Options options);
  static Result<Arena> create(std::size_t size) { return create(size, Options{.name = "arena"}); }
  static Result<Arena> create(const MemoryName& name, std::size_t size, Options options = {});
  static Result<Arena> open(const MemoryName& name, Options options = {});
  static Result<Arena> open_or_create(const MemoryName& name, std::size_t size,
                                      Options options = {});
  /// The arena in a region that was passed on.
  static Result<Arena> open(SharedRegion region);

  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&& other) noexcept;
  ~Arena();

  /// `exhausted` when no row of free pieces is long enough, `poisoned`, `timed_out`.
  Result<void*> allocate(std::size_t size, std::size_t alignment, Deadline deadline);
  /// `invalid` for what is not the beginning of memory that was allocated and is still.
  Result<void> deallocate(void* at, Deadline deadline);

  /// From now on, and until the Session ends, this thread alone is in the arena.
  Result<Session> enter(Deadline deadline);
  /// Empties it, of what is poisoned too. All addresses into it are void, in every process.
  Result<void> rebuild(Deadline deadline);
  /// Counts the rebuilds.
  std::uint64_t generation() const noexcept;

  struct Room {
    std::size_t bytes;    ///< in all, for what is allocated
    std::size_t taken;    ///< of them
    std::size_t longest;  ///< free in a row
  };
  Result<Room> room(Deadline deadline);

  const SharedRegion& region() const noexcept;
  /// A second object on the same arena.
  Result<Arena> duplicate() const;
  /// For sending to a process of equal trust: an arena in a memory file.
  Result<Handle> into_handle() &&;
  static Result<Arena> from_handle(Handle handle, Trust trust);

 private:
  struct State;
  explicit Arena(std::unique_ptr<State> state) noexcept;
  static Result<Arena> make(SharedRegion region);
  Result<Mutex::Guard> lock(Deadline deadline);
  template <class Work> auto with_lock(Deadline deadline, Work&& work);

  std::unique_ptr<State> state_;
};

/// REQUIRES: the Arena outlives it, and it ends in the thread that began it. A forked child does not
/// have what its parent entered: its copy does nothing when it ends, and is good for nothing else.
class [[nodiscard]] BULKHEAD_API Arena::Session {
 public:
  Session(Session&& other) noexcept;
  Session& operator=(Session&&) = delete;
  ~Session();

  /// As the Arena's.
  Result<void*> allocate(std::size_t size, std::size_t alignment);
  Result<void> deallocate(void* at);

  /// The one object by which everything else is found: made by the first that asks, from an
  /// ArenaAllocator where T takes one. `incompatible` when it is there and of another size or
  /// alignment.
  template <class T, class Allocator = ArenaAllocator<std::byte>> Result<T*> root() {
    void* found = BULKHEAD_TRY(find_root(sizeof(T), alignof(T)));
    if (found != nullptr) return static_cast<T*>(found);
    void* const at = BULKHEAD_TRY(allocate(sizeof(T), alignof(T)));
    T* const made = make_at<T, Allocator>(at);
    set_root(at, sizeof(T), alignof(T));
    return made;
  }

  /// Of this process for the address of all, and back; null for what is not in the arena.
  std::uint64_t offset_of(const void* at) const noexcept;
  void* at(std::uint64_t offset) const noexcept;

  /// Ends it before its scope does. When something in the arena was left half changed, by an
  /// exception say, call give_up() instead: it is `poisoned` then.
  void leave() noexcept;
  void give_up() noexcept;

 private:
  friend class Arena;
  template <class T> friend class ArenaAllocator;
  Session(memory::Heap& heap, Mutex::Guard guard) noexcept;
  template <class T, class Allocator> static consteval bool takes_allocator() {
    if constexpr (requires { sizeof(Allocator); }) {  // arena_containers.hpp is included
      return std::is_constructible_v<T, Allocator>;
    } else {
      return false;
    }
  }
  template <class T, class Allocator> T* make_at(void* at) {
    if constexpr (takes_allocator<T, Allocator>()) {
      return ::new (at) T(Allocator{*this});
    } else {
      return ::new (at) T();
    }
  }
  Result<void*> find_root(std::size_t size, std::size_t alignment);
  void set_root(void* at, std::size_t size, std::size_t alignment) noexcept;

  memory::Heap* heap_;
  Mutex::Guard guard_;
  pid_t process_;
};

}  // namespace bulkhead

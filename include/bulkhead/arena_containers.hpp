// SPDX-License-Identifier: Apache-2.0
//
// Containers that live in an Arena and are used by several processes: Boost.Container's, for their
// pointers may be relative (boost::interprocess::offset_ptr), as the standard library's may not. Not
// part of bulkhead.hpp: it wants libboost-dev and costs a second of compiling.
//
//   struct Words {
//     explicit Words(ArenaAllocator<std::byte> in) : list(in), index(in) {}
//     ArenaVector<int> list;
//     ArenaMap<ArenaString, int> index;
//   };
//
// Used inside of an Arena::Session of this thread alone; outside of one they throw std::bad_alloc
// where they need memory, as they do when there is none. ArenaResource is std::pmr's way to the same
// memory, for what one process has for itself: standard containers keep addresses of one process.
// Containers say by an exception that there is no memory: nothing is here without exceptions.
#pragma once

#include <boost/container/map.hpp>
#include <boost/container/string.hpp>
#include <boost/container/vector.hpp>
#include <boost/interprocess/offset_ptr.hpp>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory_resource>
#include <new>

#include <bulkhead/arena.hpp>
#include <bulkhead/detail/export.hpp>
#include <bulkhead/result.hpp>

#if __cpp_exceptions

namespace bulkhead {

namespace detail {
/// Of the arena whose head is at `arena`, in which this thread has a session.
BULKHEAD_API Result<void*> arena_allocate(const void* arena, std::size_t size,
                                          std::size_t alignment);
BULKHEAD_API Result<void> arena_deallocate(const void* arena, void* at);
BULKHEAD_API void* arena_of(const memory::Heap& heap) noexcept;
}  // namespace detail

/// Finds its arena from wherever it is mapped, so that containers can keep it.
template <class T> class ArenaAllocator {
 public:
  using value_type = T;
  using pointer = boost::interprocess::offset_ptr<T>;
  using const_pointer = boost::interprocess::offset_ptr<const T>;
  using void_pointer = boost::interprocess::offset_ptr<void>;
  using const_void_pointer = boost::interprocess::offset_ptr<const void>;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  template <class U> struct rebind {
    using other = ArenaAllocator<U>;
  };

  explicit ArenaAllocator(const Arena::Session& session) noexcept
      : arena_(detail::arena_of(*session.heap_)) {}
  template <class U>
  ArenaAllocator(const ArenaAllocator<U>& other) noexcept  // NOLINT: as allocators do
      : arena_(other.arena()) {}

  pointer allocate(std::size_t count) {
    if (count > std::numeric_limits<std::size_t>::max() / sizeof(T)) throw std::bad_alloc{};
    const auto at = detail::arena_allocate(arena_.get(), count * sizeof(T), alignof(T));
    if (!at) throw std::bad_alloc{};
    return pointer{static_cast<T*>(*at)};
  }
  /// What was not allocated here, or was given back before, stays as it is.
  void deallocate(pointer at, std::size_t) noexcept {
    static_cast<void>(detail::arena_deallocate(arena_.get(), at.get()));
  }

  void* arena() const noexcept { return arena_.get(); }
  template <class U> bool operator==(const ArenaAllocator<U>& other) const noexcept {
    return arena() == other.arena();
  }
  template <class U> bool operator!=(const ArenaAllocator<U>& other) const noexcept {
    return arena() != other.arena();
  }

 private:
  boost::interprocess::offset_ptr<void> arena_;
};

template <class T> using ArenaVector = boost::container::vector<T, ArenaAllocator<T>>;
using ArenaString =
    boost::container::basic_string<char, std::char_traits<char>, ArenaAllocator<char>>;
template <class Key, class T, class Less = std::less<Key>>
using ArenaMap = boost::container::map<Key, T, Less, ArenaAllocator<std::pair<const Key, T>>>;

/// REQUIRES: the Arena outlives it and what was allocated from it. Waits for sessions of others.
class ArenaResource : public std::pmr::memory_resource {
 public:
  explicit ArenaResource(Arena& arena, Deadline patience = never) noexcept
      : arena_(&arena), patience_(patience) {}

 private:
  void* do_allocate(std::size_t size, std::size_t alignment) override {
    const auto at = arena_->allocate(size, alignment, patience_);
    if (!at) throw std::bad_alloc{};
    return *at;
  }
  void do_deallocate(void* at, std::size_t, std::size_t) override {
    static_cast<void>(arena_->deallocate(at, never));
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  Arena* arena_;
  Deadline patience_;
};

}  // namespace bulkhead

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Shared<T>: one object of type T that several processes of equal trust use, behind a header that
// tells whether it is that T at all: of the same layout, in the same version, on a machine alike.
//
//   struct Account {                                       // holds a lock: made from a Place
//     explicit Account(Place place) : lock(place, "account") {}
//     Mutex lock;
//     std::int64_t balance = 0;
//   };
//   auto account = or_exit(Shared<Account>::open_or_create(posix_memory("account")));
//
// T may be: trivially copyable (numbers, arrays and structs of them; no pointer, no reference), or
// have a constructor that takes a Place first, or say `using shared_layout = void;` and mean it:
// everything in it is at a fixed distance from its beginning, and is good in each process. A class
// that the compiler cannot look into says `static constexpr int shared_layout = 3;` instead, and
// counts that up when its fields change. Two programs must be built from the same declaration.
// T's constructor runs once, its destructor never: the memory ends with the last who has it.
//
// Nobody ever finds half a T: it gets its name when it is complete, and what a maker that died left
// half made is made anew by the next. A constructor that never returns keeps others from the same
// System V memory: `exists` to them, after two seconds.
//
// Who may call: one thread at a time per object; the T is shared memory and follows its rules.
// What takes a name waits as SharedRegion does. TRUST: as SharedRegion: never of an untrusted peer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

#include <bulkhead/detail/shared_layout.hpp>
#include <bulkhead/memory_name.hpp>
#include <bulkhead/place.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/shared_region.hpp>

namespace bulkhead {

namespace detail {

/// What must be the same on both sides.
struct SharedShape {
  std::uint64_t layout;
  std::uint64_t size;
  std::uint64_t alignment;
};

/// A region of the size for such an object, and where the object goes; not ready yet.
BULKHEAD_API std::size_t shared_size(const SharedShape& shape) noexcept;
/// Writes the header but for its state; where the object goes. `exhausted` when it does not fit.
BULKHEAD_API Result<void*> shared_begin(const SharedRegion& region, const SharedShape& shape);
BULKHEAD_API void shared_ready(const SharedRegion& region) noexcept;
/// The object. `incompatible` for another T or version, `corrupt` for what is no header, `not_found`
/// for one that was never finished.
BULKHEAD_API Result<void*> shared_find(const SharedRegion& region, const SharedShape& shape);

/// Somebody began and did not come to shared_ready().
BULKHEAD_API bool shared_is_unfinished(const std::byte* at, std::size_t size);

template <class T> consteval SharedShape shared_shape() {
  constexpr SharedFlaw flaw = flaw_of<T>();
  static_assert(flaw != SharedFlaw::reference,
                "Bulkhead: a reference is good in one process only; keep an index or an offset");
  static_assert(flaw != SharedFlaw::pointer,
                "Bulkhead: a pointer is good in one process only; keep an index or an offset");
  static_assert(
      flaw != SharedFlaw::polymorphic,
      "Bulkhead: a virtual function is found through a pointer that is good in one process "
      "only; keep the data without virtual functions in shared memory");
  static_assert(
      flaw != SharedFlaw::view,
      "Bulkhead: a span or string_view points to bytes of one process; keep std::array, or "
      "an offset and a length");
  static_assert(
      flaw != SharedFlaw::destructor,
      "Bulkhead: this type owns something of one process (std::string and std::vector own "
      "memory), for it has a destructor; keep arrays, or containers of an Arena");
  static_assert(
      flaw != SharedFlaw::opaque,
      "Bulkhead: the compiler cannot tell whether this type may be in shared memory: make "
      "it trivially copyable, give it a constructor that takes a Place first, or say "
      "`using shared_layout = void;` in it");
  static_assert(alignof(T) <= 4096, "Bulkhead: memory is mapped at multiples of 4096 bytes only");
  LayoutHash hash;
  if constexpr (flaw == SharedFlaw::none) hash_layout<T>(hash);
  return {.layout = hash.value, .size = sizeof(T), .alignment = alignof(T)};
}

}  // namespace detail

template <class T> class Shared {
 public:
  /// A new T in memory of its own, made from `place, arguments...` or from the arguments alone.
  template <class... Arguments>
  static Result<Shared> create(SharedRegion::Options options, Arguments&&... arguments) {
    return create_in(BULKHEAD_TRY(SharedRegion::create(detail::shared_size(shape), options)),
                     std::forward<Arguments>(arguments)...);
  }
  static Result<Shared> create() { return create(SharedRegion::Options{.name = "object"}); }

  /// The same under a name; `exists` when it is taken.
  template <class... Arguments>
  static Result<Shared> create(const MemoryName& name, SharedRegion::Options options,
                               Arguments&&... arguments) {
    auto region = BULKHEAD_TRY(SharedRegion::prepare(name, detail::shared_size(shape), options,
                                                     detail::shared_is_unfinished));
    Shared made = BULKHEAD_TRY(create_in(std::move(region), std::forward<Arguments>(arguments)...));
    BULKHEAD_TRY(made.appear());
    return made;
  }
  static Result<Shared> create(const MemoryName& name) {
    return create(name, SharedRegion::Options{});
  }

  /// The T of that name. `not_found`; `incompatible` when it is another type or layout.
  static Result<Shared> open(const MemoryName& name, SharedRegion::Options options = {}) {
    return open(BULKHEAD_TRY(SharedRegion::open(name, options)));
  }

  /// One T for all who call this: the arguments are of use to the first alone.
  template <class... Arguments>
  static Result<Shared> open_or_create(const MemoryName& name, SharedRegion::Options options,
                                       const Arguments&... arguments) {
    // Each turn is one in which another process has made or removed it.
    constexpr int most_turns = 1000;
    for (int turn = 0;; ++turn) {
      auto found = open(name, options);
      if (found || found.error() != ErrorKind::not_found) return found;
      auto made = create(name, options, arguments...);
      if (made || made.error() != ErrorKind::exists || turn == most_turns) return made;
    }
  }
  static Result<Shared> open_or_create(const MemoryName& name) {
    return open_or_create(name, SharedRegion::Options{});
  }

  /// A new T at the beginning of a region that nobody else uses yet.
  template <class... Arguments>
  static Result<Shared> create_in(SharedRegion region, Arguments&&... arguments) {
    void* const at = BULKHEAD_TRY(detail::shared_begin(region, shape));
    if constexpr (std::is_constructible_v<T, Place, Arguments...>) {
      ::new (at) T(region.place(), std::forward<Arguments>(arguments)...);
    } else {
      ::new (at) T(std::forward<Arguments>(arguments)...);
    }
    detail::shared_ready(region);
    return Shared{std::move(region), static_cast<T*>(at)};
  }

  /// The T that is in a region already.
  static Result<Shared> open(SharedRegion region) {
    void* const at = BULKHEAD_TRY(detail::shared_find(region, shape));
    return Shared{std::move(region), static_cast<T*>(at)};
  }

  T* operator->() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  T* get() const noexcept { return object_; }
  const SharedRegion& region() const noexcept { return region_; }

  /// `corrupt` when somebody has cut the file that it is in: SharedRegion::check().
  Result<void> check() const { return region_.check(); }

  /// A second object on the same T.
  Result<Shared> duplicate() const { return open(BULKHEAD_TRY(region_.duplicate())); }

  /// For sending to a process of equal trust.
  Result<Handle> into_handle() && { return std::move(region_).into_handle(); }
  static Result<Shared> from_handle(Handle handle, Trust trust) {
    return open(BULKHEAD_TRY(SharedRegion::from_handle(std::move(handle), trust)));
  }

 private:
  friend class Arena;
  /// Of who prepared the region.
  Result<void> appear() { return region_.appear(); }
  static constexpr detail::SharedShape shape = detail::shared_shape<T>();
  Shared(SharedRegion region, T* object) noexcept : region_(std::move(region)), object_(object) {}

  SharedRegion region_;
  T* object_;
};

}  // namespace bulkhead

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
//   auto account = or_exit(Shared<Account>::create());     // here; hand it over:
//   channel.send_handle(or_exit(std::move(account).into_handle()));
//   auto account = or_exit(Shared<Account>::from_handle(std::move(handle), Trust::equal));  // there
//
// T may be: trivially copyable (numbers, arrays and structs of them; no pointer, no reference), or
// have a constructor that takes a Place first, or say `using shared_layout = void;` and mean it:
// everything in it is at a fixed distance from its beginning, and is good in each process.
// T's constructor runs once, its destructor never: the memory ends with the last who has it.
//
// Who may call: one thread at a time per object; the T is shared memory and follows its rules.
// Nothing blocks. TRUST: as SharedRegion: `denied` for what came from an untrusted process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

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
/// The object. `incompatible` for another T or version, `corrupt` for what is no header.
BULKHEAD_API Result<void*> shared_find(const SharedRegion& region, const SharedShape& shape);

template <class T> consteval SharedShape shared_shape() {
  return {.layout = sizeof(T) * 0x9e3779b97f4a7c15U ^ alignof(T),
          .size = sizeof(T),
          .alignment = alignof(T)};
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

  /// A second object on the same T.
  Result<Shared> duplicate() const { return open(BULKHEAD_TRY(region_.duplicate())); }

  /// For sending to a process of equal trust.
  Result<Handle> into_handle() && { return std::move(region_).into_handle(); }
  static Result<Shared> from_handle(Handle handle, Trust trust) {
    return open(BULKHEAD_TRY(SharedRegion::from_handle(std::move(handle), trust)));
  }

 private:
  static constexpr detail::SharedShape shape = detail::shared_shape<T>();
  Shared(SharedRegion region, T* object) noexcept : region_(std::move(region)), object_(object) {}

  SharedRegion region_;
  T* object_;
};

}  // namespace bulkhead

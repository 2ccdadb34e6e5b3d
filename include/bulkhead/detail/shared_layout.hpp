// SPDX-License-Identifier: Apache-2.0
//
// Which types may live in shared memory, and the hash by which two programs know that they mean the
// same one. The fields of plain structs are looked into, as wire does it; classes with constructors
// are taken at their word.
//
// The hash covers what decides where bytes lie and how they are read: kinds and sizes of the scalars
// in order, lengths of arrays, size and alignment of each struct. Not names: they are spelled
// differently by each compiler. Of a class that cannot be looked into: its size, its alignment and
// its `shared_layout`, where that is a number.
#pragma once

#include <array>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <bulkhead/detail/wire/fields.hpp>
#include <bulkhead/place.hpp>

namespace bulkhead::detail {

enum class SharedFlaw : std::uint8_t {
  none,
  reference,
  pointer,
  polymorphic,
  view,
  destructor,
  opaque
};

template <class T> struct IsArray : std::is_array<T> {};
template <class T, std::size_t N> struct IsArray<std::array<T, N>> : std::true_type {};
template <class T> struct IsAtomic : std::false_type {};
template <class T> struct IsAtomic<std::atomic<T>> : std::true_type {};

template <class T>
concept SaysLayout = requires { typename T::shared_layout; };
template <class T>
concept NumbersLayout = requires {
  { T::shared_layout } -> std::convertible_to<std::uint64_t>;
};

template <class T> using Any = wire::detail::Anything<T>;

/// T is made from a Place, and from up to four arguments behind it.
template <class T> consteval bool takes_place() {
  if constexpr (!std::is_class_v<T>) {
    return false;
  } else {
    using A = Any<T>;
    return std::is_constructible_v<T, Place> || std::is_constructible_v<T, Place, A> ||
           std::is_constructible_v<T, Place, A, A> || std::is_constructible_v<T, Place, A, A, A> ||
           std::is_constructible_v<T, Place, A, A, A, A>;
  }
}

/// A struct whose fields can be looked into.
template <class T> consteval bool is_open() {
  if constexpr (!std::is_class_v<T> || !std::is_aggregate_v<T>) {
    return false;
  } else {
    constexpr auto count = wire::detail::count_fields<T>();  // 0 where a reference stops it
    return !wire::detail::has_base<T>() && count != wire::detail::too_many_fields &&
           (count != 0 || std::is_empty_v<T>);
  }
}

/// Begin and size, and not the elements themselves: std::span, std::string_view.
template <class T>
concept ViewLike = !IsArray<T>::value && requires(const T& value) {
  { *value.data() };
  value.size();
};

template <class T> consteval SharedFlaw flaw_of();

template <class... Ts> consteval SharedFlaw first_flaw(wire::detail::List<Ts...>) {
  SharedFlaw flaw = SharedFlaw::none;
  (void)((flaw = flaw_of<Ts>(), flaw != SharedFlaw::none) || ...);
  return flaw;
}

template <class T> consteval SharedFlaw flaw_of() {
  using U = std::remove_cv_t<T>;
  if constexpr (std::is_reference_v<U>) {
    return SharedFlaw::reference;
  } else if constexpr (std::is_pointer_v<U> || std::is_member_pointer_v<U> ||
                       std::is_null_pointer_v<U>) {
    return SharedFlaw::pointer;
  } else if constexpr (std::is_array_v<U>) {
    return flaw_of<std::remove_all_extents_t<U>>();
  } else if constexpr (std::is_polymorphic_v<U>) {
    return SharedFlaw::polymorphic;
  } else if constexpr (SaysLayout<U> || NumbersLayout<U>) {
    return SharedFlaw::none;
  } else if constexpr (IsAtomic<U>::value) {
    return U::is_always_lock_free ? flaw_of<typename U::value_type>() : SharedFlaw::opaque;
  } else if constexpr (IsArray<U>::value) {
    return flaw_of<typename U::value_type>();
  } else if constexpr (!std::is_trivially_destructible_v<U>) {
    return SharedFlaw::destructor;
  } else if constexpr (ViewLike<U>) {
    return SharedFlaw::view;
  } else if constexpr (is_open<U>()) {
    return first_flaw(wire::detail::FieldTypes<U>{});
  } else if constexpr ((std::is_trivially_copyable_v<U> && std::is_copy_assignable_v<U>) ||
                       takes_place<U>()) {
    return SharedFlaw::none;  // what cannot be assigned may have a reference in it
  } else {
    return SharedFlaw::opaque;
  }
}

/// FNV-1a over words, each mixed: http://www.isthe.com/chongo/tech/comp/fnv/
struct LayoutHash {
  std::uint64_t value = 0xcbf29ce484222325U;
  constexpr void add(std::uint64_t word) {
    for (int byte = 0; byte < 8; ++byte) {
      value = (value ^ (word >> (8 * byte) & 0xff)) * 0x100000001b3U;
    }
  }
};

template <class T> consteval void hash_layout(LayoutHash& hash);

template <class... Ts> consteval void hash_layouts(LayoutHash& hash, wire::detail::List<Ts...>) {
  (hash_layout<Ts>(hash), ...);
}

template <class T> consteval char kind_of_scalar() {
  if constexpr (std::is_same_v<T, bool>) return 'b';
  if constexpr (std::is_floating_point_v<T>) return 'f';
  return std::is_signed_v<T> ? 'i' : 'u';
}

template <class T> consteval void hash_layout(LayoutHash& hash) {
  using U = std::remove_cv_t<T>;
  if constexpr (std::is_enum_v<U>) {
    return hash_layout<std::underlying_type_t<U>>(hash);
  } else if constexpr (std::is_arithmetic_v<U>) {
    hash.add(static_cast<unsigned char>(kind_of_scalar<U>()));
    hash.add(sizeof(U));
  } else if constexpr (std::is_bounded_array_v<U>) {
    hash.add('a');
    hash.add(std::extent_v<U>);
    hash_layout<std::remove_extent_t<U>>(hash);
  } else if constexpr (IsArray<U>::value) {
    hash.add('a');
    hash.add(sizeof(U) / sizeof(typename U::value_type));
    hash_layout<typename U::value_type>(hash);
  } else {
    hash.add('{');
    hash.add(sizeof(U));
    hash.add(alignof(U));
    if constexpr (NumbersLayout<U>) {
      hash.add(static_cast<std::uint64_t>(U::shared_layout));
    } else if constexpr (is_open<U>()) {
      hash_layouts(hash, wire::detail::FieldTypes<U>{});
    }
    hash.add('}');
  }
}

}  // namespace bulkhead::detail

namespace bulkhead {

/// A type that may live in shared memory, as far as a compiler can tell.
template <class T>
concept Shareable = detail::flaw_of<T>() == detail::SharedFlaw::none;

}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
//
// Sizes: what is known about the length of an encoding at compile time, and its exact length for a
// value. Writers reserve once by it, readers refuse by it what cannot be there.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <bulkhead/detail/wire/form.hpp>

namespace bulkhead::wire::detail {

/// Nested structs of one value; what goes deeper is refused on both sides, so that no peer can
/// exhaust the stack.
inline constexpr unsigned max_depth = 64;
/// Elements without any bytes (empty structs) in all containers of one message together.
inline constexpr std::uint64_t max_empty_elements = 65'536;

inline constexpr std::size_t count_size = 8;   // of sequences, maps and sets
inline constexpr std::size_t handle_size = 4;  // the handle's number

/// fixed_size of a type whose encodings differ in length.
inline constexpr std::size_t not_fixed = static_cast<std::size_t>(-1);

template <class T> consteval std::size_t fixed_size_of();

/// The length of every encoding of T, or `not_fixed`.
template <class T>
inline constexpr std::size_t fixed_size = fixed_size_of<std::remove_const_t<T>>();
template <class T> inline constexpr bool is_fixed = fixed_size<T> != not_fixed;

template <class... Ts> consteval std::size_t fixed_sum(List<Ts...>) {
  if constexpr ((is_fixed<Ts> && ...)) {
    return (std::size_t{0} + ... + fixed_size<Ts>);
  } else {
    return not_fixed;
  }
}

template <class T> consteval std::size_t fixed_size_of() {
  constexpr Form form = form_of<T>;
  if constexpr (form == Form::boolean) {
    return 1;
  } else if constexpr (form == Form::scalar) {
    return sizeof(T);
  } else if constexpr (form == Form::array) {
    return is_fixed<First<T>> ? fixed_size<First<T>> * extent<T> : not_fixed;
  } else if constexpr (form == Form::tuple || form == Form::aggregate || form == Form::duration) {
    return fixed_sum(Parts<T>{});
  } else {
    return not_fixed;
  }
}

template <class T> consteval std::size_t min_size_of();

/// The length of the shortest encoding of T.
template <class T> inline constexpr std::size_t min_size = min_size_of<std::remove_const_t<T>>();

template <class... Ts> consteval std::size_t min_sum(List<Ts...>) {
  return (std::size_t{0} + ... + min_size<Ts>);
}
template <class... Ts> consteval std::size_t min_of(List<Ts...>) {
  std::size_t least = not_fixed;
  ((least = min_size<Ts> < least ? min_size<Ts> : least), ...);
  return least;
}

template <class T> consteval std::size_t min_size_of() {
  constexpr Form form = form_of<T>;
  if constexpr (form == Form::sequence || form == Form::path || form == Form::map ||
                form == Form::set) {
    return count_size;
  } else if constexpr (form == Form::handle) {
    return handle_size;
  } else if constexpr (form == Form::optional || form == Form::pointer || form == Form::expected) {
    return 1;
  } else if constexpr (form == Form::error) {
    return 1 + 4 * count_size + 1 + 4 + 1;
  } else if constexpr (form == Form::variant) {
    return 1 + min_of(Parts<T>{});
  } else if constexpr (form == Form::array) {
    return min_size<First<T>> * extent<T>;
  } else if constexpr (is_fixed<T>) {
    return fixed_size<T>;
  } else {
    return min_sum(Parts<T>{});
  }
}

template <class T> consteval bool is_flat_type();

/// Whether the encoding of T is its bytes in memory, so that any number of them is one memcpy.
template <class T> inline constexpr bool is_flat = is_flat_type<std::remove_const_t<T>>();

template <class... Ts> consteval bool all_flat(List<Ts...>) { return (is_flat<Ts> && ...); }

template <class T> consteval bool is_bool() {
  if constexpr (std::is_enum_v<T>) {
    return std::is_same_v<std::underlying_type_t<T>, bool>;
  } else {
    return std::is_same_v<T, bool>;
  }
}

template <class T> consteval bool is_flat_type() {
  constexpr Form form = form_of<T>;
  if constexpr (form == Form::scalar) {
    return !is_bool<T>() && (sizeof(T) == 1 || std::endian::native == std::endian::little);
  } else if constexpr (form == Form::array) {
    return extent<T> > 0 && is_flat<First<T>>;
  } else if constexpr (form == Form::aggregate || form == Form::duration) {
    // Without padding, as the sizes agree; in order, as C++23 demands of all fields.
    return std::is_trivially_copyable_v<T> && std::is_copy_assignable_v<T> &&
           std::is_copy_constructible_v<T> && fixed_size<T> == sizeof(T) && all_flat(Parts<T>{});
  } else {
    return false;
  }
}

/// Calls f with the alternative that `variant` holds; false when it holds none.
template <class V, class F, std::size_t... I>
bool with_alternative(V& variant, F&& f, std::index_sequence<I...>) {
  bool result = false;
  (void)((variant.index() == I && ((result = f(*get_if<I>(&variant))), true)) || ...);
  return result;
}

template <class T> std::size_t measure(const T& value, unsigned depth);

template <class T> std::size_t measure_each(const T& values, unsigned depth) {
  using E = First<T>;
  if constexpr (is_fixed<E>) {
    return fixed_size<E> * static_cast<std::size_t>(std::size(values));
  } else {
    std::size_t sum = 0;
    for (const auto& element : values) sum += measure<E>(element, depth);
    return sum;
  }
}

BULKHEAD_API std::size_t measure_error(const Error& error);

/// The length of the encoding of `value`; anything for one that is too deep.
template <class T> std::size_t measure(const T& value, unsigned depth) {
  constexpr Form form = form_of<T>;
  if constexpr (is_fixed<T>) {
    return fixed_size<T>;
  } else if constexpr (form == Form::sequence || form == Form::set) {
    return count_size + measure_each(value, depth);
  } else if constexpr (form == Form::array) {
    return measure_each(value, depth);
  } else if constexpr (form == Form::path) {
    return count_size + value.native().size();
  } else if constexpr (form == Form::map) {
    std::size_t sum = count_size;
    for (const auto& [key, mapped] : value) sum += measure(key, depth) + measure(mapped, depth);
    return sum;
  } else if constexpr (form == Form::optional || form == Form::pointer) {
    return 1 + (value ? measure<First<T>>(*value, depth) : 0);
  } else if constexpr (form == Form::variant) {
    std::size_t size = 1;
    with_alternative(
        value,
        [&](const auto& alternative) {
          size += measure(alternative, depth);
          return true;
        },
        std::make_index_sequence<Parts<T>::size>{});
    return size;
  } else if constexpr (form == Form::expected) {
    if (!value) return 1 + measure(value.error(), depth);
    if constexpr (Parts<T>::size == 1) {
      return 1;
    } else {
      return 1 + measure(*value, depth);
    }
  } else if constexpr (form == Form::error) {
    return measure_error(value);
  } else if constexpr (form == Form::handle) {
    return handle_size;
  } else if constexpr (form == Form::tuple) {
    return std::apply(
        [&](const auto&... parts) { return (std::size_t{0} + ... + measure(parts, depth)); },
        value);
  } else {
    static_assert(form == Form::aggregate);
    if (depth == max_depth) return 0;
    return visit_fields(value, [&](auto, const auto&... fields) {
      return (std::size_t{0} + ... + measure(fields, depth + 1));
    });
  }
}

}  // namespace bulkhead::wire::detail

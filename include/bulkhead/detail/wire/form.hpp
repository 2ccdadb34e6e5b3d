// SPDX-License-Identifier: Apache-2.0
//
// Which of the forms of docs/protocol/wire.md a C++ type has, and which types it is made of. What
// the others of this folder do (judge, measure, write, read, name) is a walk over forms and parts.
//
// Maps, sets, variants, paths and durations are recognised by what they can do: their headers are
// not included here, so that a user who does not need them does not compile them.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <bulkhead/detail/wire/fields.hpp>
#include <bulkhead/handle.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/trust.hpp>

namespace bulkhead {
class Region;
class Channel;
}  // namespace bulkhead

namespace bulkhead::wire {

/// A resource that goes beside the bytes as a Handle: Region, Channel and what is made like them.
template <class T>
concept Transferable = requires(T value, Handle handle, Trust trust) {
  { std::move(value).into_handle() } -> std::same_as<Result<Handle>>;
  { T::from_handle(std::move(handle), trust) } -> std::same_as<Result<T>>;
};

}  // namespace bulkhead::wire

namespace bulkhead::wire::detail {

enum class Form : std::uint8_t {
  boolean,
  scalar,    ///< integer, floating point, enum, std::byte
  sequence,  ///< vector, string: a count and the elements
  path,
  array,  ///< std::array, C array
  optional,
  pointer,  ///< unique_ptr, as an optional
  variant,
  map,
  set,
  tuple,  ///< tuple, pair
  duration,
  expected,
  error,
  aggregate,
  handle,
  none,  ///< cannot be encoded
};

template <class T>
concept Scalar = (std::is_arithmetic_v<T> || std::is_enum_v<T>) && !std::same_as<T, long double> &&
                 sizeof(T) <= 8;

template <class T>
concept PathLike = requires(const T& path) {
  { path.native() } -> std::same_as<const std::string&>;
  { path.lexically_normal() } -> std::same_as<T>;
} && std::constructible_from<T, std::string>;

template <class T>
concept DurationLike = requires(const T& duration) {
  requires Scalar<typename T::rep>;
  T::period::num;
  T::period::den;
  { duration.count() } -> std::same_as<typename T::rep>;
} && std::constructible_from<T, const typename T::rep&>;

template <class T>
concept VariantLike = requires(const T& variant) {
  { variant.valueless_by_exception() } -> std::same_as<bool>;
  { variant.index() } -> std::same_as<std::size_t>;
};

template <class T>
concept Keyed = requires(const T& keyed) {
  typename T::key_type;
  typename T::value_type;
  { keyed.size() } -> std::convertible_to<std::size_t>;
  keyed.begin();
  keyed.end();
};

// A key at most once: multimaps have no try_emplace, and a multiset's insert answers no pair.
template <class T>
concept MapLike = Keyed<T> && requires { typename T::mapped_type; } &&
                  std::same_as<typename T::value_type,
                               std::pair<const typename T::key_type, typename T::mapped_type>> &&
                  requires(T& map, typename T::key_type key) { map.try_emplace(std::move(key)); };

template <class T>
concept SetLike =
    Keyed<T> && std::same_as<typename T::value_type, typename T::key_type> &&
    !requires { typename T::mapped_type; } && requires(T& set, typename T::key_type key) {
      { set.insert(std::move(key)).second } -> std::convertible_to<bool>;
    };

template <class T> consteval Form form_by_ability() {
  if constexpr (std::same_as<T, bool>) {
    return Form::boolean;
  } else if constexpr (Scalar<T>) {
    return Form::scalar;
  } else if constexpr (!std::is_class_v<T>) {
    return Form::none;
  } else if constexpr (std::same_as<T, Error>) {
    return Form::error;
  } else if constexpr (std::same_as<T, Fd> || Transferable<T>) {
    return Form::handle;
  } else if constexpr (PathLike<T>) {
    return Form::path;
  } else if constexpr (DurationLike<T>) {
    return Form::duration;
  } else if constexpr (MapLike<T>) {
    return Form::map;
  } else if constexpr (SetLike<T>) {
    return Form::set;
  } else if constexpr (std::is_aggregate_v<T>) {
    return Form::aggregate;
  } else {
    return Form::none;
  }
}

template <class T, Form F> struct PartsOf {
  using type = List<>;
};
template <class T> struct PartsOf<T, Form::map> {
  using type = List<typename T::key_type, typename T::mapped_type>;
};
template <class T> struct PartsOf<T, Form::set> {
  using type = List<typename T::key_type>;
};
template <class T> struct PartsOf<T, Form::duration> {
  using type = List<typename T::rep>;
};

/// `form` and `Parts` of a type. The parts of an aggregate are FieldTypes<T>: they are asked for
/// only after judge() has found that they can be.
template <class T> struct Model {
  static constexpr Form form = form_by_ability<T>();
  using Parts = typename PartsOf<T, form>::type;
};

template <Form F, class... Ts> struct Composed {
  static constexpr Form form = F;
  using Parts = List<Ts...>;
};

template <class T, class A> struct Model<std::vector<T, A>> : Composed<Form::sequence, T> {};
template <class T, class C, class A>
struct Model<std::basic_string<T, C, A>> : Composed<Form::sequence, T> {};
template <class T, std::size_t N> struct Model<std::array<T, N>> : Composed<Form::array, T> {};
template <class T, std::size_t N> struct Model<T[N]> : Composed<Form::array, T> {};
template <class T> struct Model<std::optional<T>> : Composed<Form::optional, T> {};
template <class T> struct Model<std::unique_ptr<T>> : Composed<Form::pointer, T> {};
template <class T> struct Model<std::unique_ptr<T[]>> : Composed<Form::none> {};
template <class... Ts> struct Model<std::tuple<Ts...>> : Composed<Form::tuple, Ts...> {};
template <class A, class B> struct Model<std::pair<A, B>> : Composed<Form::tuple, A, B> {};
template <class T, class E> struct Model<std::expected<T, E>> : Composed<Form::expected, T, E> {};
template <class E> struct Model<std::expected<void, E>> : Composed<Form::expected, E> {};
template <template <class...> class V, class... Ts>
  requires VariantLike<V<Ts...>>
struct Model<V<Ts...>> : Composed<Form::variant, Ts...> {};

template <class T> inline constexpr Form form_of = Model<std::remove_const_t<T>>::form;

template <class T, Form F> struct PartsHelper {
  using type = typename Model<T>::Parts;
};
template <class T> struct PartsHelper<T, Form::aggregate> {
  using type = FieldTypes<T>;
};

/// The types that T is made of, as a List; only of what judge() passes.
template <class T> using Parts = typename PartsHelper<std::remove_const_t<T>, form_of<T>>::type;

/// The element type of a sequence, array, optional, pointer or set.
template <class T> struct FirstOf;
template <class T, class... Ts> struct FirstOf<List<T, Ts...>> {
  using type = T;
};
template <class T> using First = typename FirstOf<Parts<T>>::type;

template <std::size_t N, class T> consteval std::size_t extent_of(const std::array<T, N>*) {
  return N;
}
template <std::size_t N, class T> consteval std::size_t extent_of(const T (*)[N]) { return N; }

/// The number of elements of an array.
template <class T>
inline constexpr std::size_t extent =
    extent_of(static_cast<const std::remove_const_t<T>*>(nullptr));

template <class T, class... Ts> inline constexpr bool is_one_of = (std::same_as<T, Ts> || ...);

}  // namespace bulkhead::wire::detail

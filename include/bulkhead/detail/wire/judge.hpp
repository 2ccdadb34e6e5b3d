// SPDX-License-Identifier: Apache-2.0
//
// Judge: whether a type can be encoded, and if not, which type inside it is why, in a sentence that
// the compiler prints.
#pragma once

#include <span>
#include <string_view>
#include <type_traits>

#include <bulkhead/detail/wire/form.hpp>

namespace bulkhead::wire::detail {

enum class Problem {
  none,
  reference,
  pointer,
  view,
  wide_number,
  union_,
  base_class,
  many_fields,
  not_plain,
};

template <Problem P, class Culprit> struct Verdict {
  static constexpr Problem problem = P;
  using culprit = Culprit;
};
using Fine = Verdict<Problem::none, void>;

/// The first verdict that is not fine.
template <class A, class B> consteval auto operator|(A first, B second) {
  if constexpr (A::problem != Problem::none) {
    return first;
  } else {
    return second;
  }
}

template <class T> inline constexpr bool is_view = false;
template <class T, class C> inline constexpr bool is_view<std::basic_string_view<T, C>> = true;
template <class T, std::size_t N> inline constexpr bool is_view<std::span<T, N>> = true;

/// Why T is of no form.
template <class T> consteval Problem problem_of_shapeless() {
  if constexpr (std::is_pointer_v<T> || std::is_member_pointer_v<T> || std::is_null_pointer_v<T>) {
    return Problem::pointer;
  } else if constexpr (is_view<T>) {
    return Problem::view;
  } else if constexpr (std::is_arithmetic_v<T>) {
    return Problem::wide_number;
  } else if constexpr (std::is_union_v<T>) {
    return Problem::union_;
  } else {
    return Problem::not_plain;
  }
}

template <class T> consteval Problem problem_of_aggregate() {
  if constexpr (has_base<T>()) {
    return Problem::base_class;
  } else if constexpr (count_fields<T>() > max_fields) {
    return Problem::many_fields;
  } else {
    return Problem::none;
  }
}

template <class T, class... Seen> consteval auto judge();

template <class... Seen, class... Ts> consteval auto judge_all(List<Ts...>) {
  return (Fine{} | ... | judge<Ts, Seen...>());
}

/// A Verdict on T. `Seen` are the aggregates around it: where one comes back, it is being judged.
template <class T, class... Seen> consteval auto judge() {
  using U = std::remove_const_t<T>;
  if constexpr (std::is_reference_v<T>) {
    return Verdict<Problem::reference, T>{};
  } else if constexpr (is_one_of<U, Seen...>) {
    return Fine{};
  } else if constexpr (form_of<U> == Form::none) {
    return Verdict<problem_of_shapeless<U>(), U>{};
  } else if constexpr (form_of<U> == Form::aggregate) {
    constexpr Problem problem = problem_of_aggregate<U>();
    if constexpr (problem != Problem::none) {
      return Verdict<problem, U>{};
    } else {
      return judge_all<U, Seen...>(FieldTypes<U>{});
    }
  } else {
    return judge_all<Seen...>(typename Model<U>::Parts{});
  }
}

template <class T> using VerdictOn = decltype(judge<T>());

/// Stops the compiler with a sentence; its notes name T and, as `Culprit`, the type inside T.
template <class T, class Culprit, Problem P> struct Explain {
  static_assert(P != Problem::reference,
                "Bulkhead cannot send a reference to another process: use the value itself");
  static_assert(P != Problem::pointer,
                "Bulkhead cannot send a raw pointer to another process: use the value itself, "
                "std::string for text, std::optional or std::unique_ptr for what may be absent");
  static_assert(P != Problem::view,
                "Bulkhead cannot send a view of somebody else's bytes: use std::string or "
                "std::vector, which own them");
  static_assert(
      P != Problem::wide_number,
      "Bulkhead cannot send long double or 128-bit numbers: they differ between machines");
  static_assert(P != Problem::union_,
                "Bulkhead cannot send a union, as nobody knows what is in it: use std::variant");
  static_assert(P != Problem::base_class,
                "Bulkhead cannot send a struct with a base class: make the base its first field");
  static_assert(P != Problem::many_fields,
                "Bulkhead cannot send a struct of more than 32 fields: group them in structs");
  static_assert(
      P != Problem::not_plain,
      "Bulkhead cannot send this class: only plain structs (public fields, no constructors, "
      "no virtual functions), and the standard types of docs/protocol/wire.md");
  static constexpr bool fine = P == Problem::none;
};

template <class T>
inline constexpr bool explain =
    Explain<T, typename VerdictOn<T>::culprit, VerdictOn<T>::problem>::fine;

template <class T, class... Seen> consteval bool has_handles();

template <class... Seen, class... Ts> consteval bool any_has_handles(List<Ts...>) {
  return (false || ... || has_handles<Ts, Seen...>());
}

template <class T, class... Seen> consteval bool has_handles() {
  using U = std::remove_const_t<T>;
  if constexpr (form_of<U> == Form::handle) {
    return true;
  } else if constexpr (is_one_of<U, Seen...>) {
    return false;
  } else if constexpr (form_of<U> == Form::aggregate) {
    return any_has_handles<U, Seen...>(Parts<U>{});
  } else {
    return any_has_handles<Seen...>(Parts<U>{});
  }
}

/// For types that can be encoded: no handle in it. For others true; explain says what is wrong.
template <class T> consteval bool bytes_alone() {
  if constexpr (VerdictOn<T>::problem == Problem::none) {
    return !has_handles<T>();
  } else {
    return true;
  }
}

}  // namespace bulkhead::wire::detail

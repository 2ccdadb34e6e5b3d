// SPDX-License-Identifier: Apache-2.0
//
// Shape: what an encoding looks like, as text that is the same for every compiler and library.
// Types of one shape have one encoding. The grammar is in docs/protocol/wire.md.
//
// The text is made by the compiler into an array, in two passes: GCC 12 stumbles over std::string
// in constant expressions.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include <bulkhead/detail/wire/form.hpp>

namespace bulkhead::wire::detail {

/// Where text goes; without a place for it, it is only counted.
struct TextSink {
  char* place = nullptr;
  std::size_t size = 0;

  constexpr void put(std::string_view text) {
    for (const char c : text) {
      if (place) place[size] = c;
      ++size;
    }
  }
  constexpr void put(std::uint64_t number) {
    if (number >= 10) put(number / 10);
    const char digit = static_cast<char>('0' + number % 10);
    put(std::string_view{&digit, 1});
  }
};

template <class T> consteval std::string_view kind_of_scalar() {
  if constexpr (std::same_as<T, char>) {
    return "char";  // signed or not is the machine's choice
  } else if constexpr (std::is_floating_point_v<T>) {
    return "f";
  } else {
    return std::is_signed_v<T> ? "i" : "u";
  }
}

template <class T> constexpr void put_scalar(TextSink& out) {
  if constexpr (std::is_enum_v<T>) {
    put_scalar<std::underlying_type_t<T>>(out);
  } else if constexpr (std::same_as<T, bool>) {
    out.put("bool");
  } else {
    out.put(kind_of_scalar<T>());
    if (!std::same_as<T, char>) out.put(std::uint64_t{8 * sizeof(T)});
  }
}

template <class T> consteval std::string_view name_of_handle() {
  if constexpr (std::same_as<T, Fd>) {
    return "handle:fd";
  } else if constexpr (std::same_as<T, Region>) {
    return "handle:region";
  } else if constexpr (std::same_as<T, Channel>) {
    return "handle:channel";
  } else {
    return "handle:other";
  }
}

/// "vec<" and the like.
template <class T> consteval std::string_view name_of_container() {
  switch (form_of<T>) {
    case Form::array:
      return "arr<";
    case Form::optional:
    case Form::pointer:
      return "opt<";
    case Form::variant:
      return "var<";
    case Form::map:
      return "map<";
    case Form::set:
      return "set<";
    case Form::duration:
      return "dur<";
    case Form::expected:
      return Parts<T>::size == 1 ? "res<," : "res<";
    default:
      return "vec<";
  }
}

template <class T, class... Around> constexpr void put_shape(TextSink& out);

template <class... Around, class... Ts> constexpr void put_shapes(TextSink& out, List<Ts...>) {
  bool first = true;
  ((out.put(first ? "" : ","), first = false, put_shape<Ts, Around...>(out)), ...);
}

/// Which of the types around this place T is, counted from 1 for the nearest.
template <class T, class... Around> consteval std::uint64_t distance_to() {
  std::uint64_t distance = 0;
  (void)((++distance, std::same_as<T, Around>) || ...);
  return distance;
}

/// `Around`: the types in braces that this one stands in, the nearest first.
template <class T, class... Around> constexpr void put_shape(TextSink& out) {
  using U = std::remove_const_t<T>;
  constexpr Form form = form_of<U>;
  if constexpr (form == Form::boolean || form == Form::scalar) {
    put_scalar<U>(out);
  } else if constexpr (form == Form::handle) {
    out.put(name_of_handle<U>());
  } else if constexpr (form == Form::error) {
    out.put("error");
  } else if constexpr (form == Form::path) {
    out.put("str");
  } else if constexpr (is_one_of<U, Around...>) {
    out.put("^");
    out.put(distance_to<U, Around...>());
  } else if constexpr (form == Form::aggregate || form == Form::tuple) {
    out.put("{");
    put_shapes<U, Around...>(out, Parts<U>{});
    out.put("}");
  } else if constexpr (form == Form::sequence && std::same_as<First<U>, char>) {
    out.put("str");
  } else {
    out.put(name_of_container<U>());
    put_shapes<Around...>(out, Parts<U>{});
    if constexpr (form == Form::array) {
      out.put(",");
      out.put(std::uint64_t{extent<U>});
    } else if constexpr (form == Form::duration) {
      out.put(",");
      out.put(static_cast<std::uint64_t>(U::period::num));
      out.put("/");
      out.put(static_cast<std::uint64_t>(U::period::den));
    }
    out.put(">");
  }
}

template <class T> consteval std::size_t shape_size() {
  TextSink sink;
  put_shape<T>(sink);
  return sink.size;
}

template <class T> consteval auto make_shape() {
  std::array<char, shape_size<T>()> text{};
  TextSink sink{text.data()};
  put_shape<T>(sink);
  return text;
}

template <class T> inline constexpr auto shape_array = make_shape<T>();

}  // namespace bulkhead::wire::detail

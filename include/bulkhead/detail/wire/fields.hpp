// SPDX-License-Identifier: Apache-2.0
//
// The fields of a plain struct, without asking its author to list them: how many there are is found
// by trying braces, and a structured binding of that many names gives access to them.
//
// `T{{}, {}, {}}` compiles as long as T has that many fields: empty braces make a field of any type
// that can be made from nothing, a nested struct or a C array included, and are never spread over
// the inside of a nested one as values without braces are. A struct with a field that cannot be
// made from nothing (a Channel) is tried with values that convert to anything instead; that way
// cannot tell a C array from several fields, so such a struct must not hold one.
//
// Long by count, not by content: C++23 has no other way to bind a varying number of names.
#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

namespace bulkhead::wire::detail {

inline constexpr std::size_t max_fields = 32;
inline constexpr std::size_t too_many_fields = max_fields + 1;

template <class... Ts> struct List {
  static constexpr std::size_t size = sizeof...(Ts);
};

/// Converts to anything but T itself; never evaluated (defined all the same, as Clang asks for it).
template <class T> struct Anything {
  template <class U>
    requires(!std::same_as<U, T>)
  operator U() const noexcept {
    std::unreachable();
  }
};

/// Converts to the bases of T alone; never evaluated.
template <class T> struct BaseOf {
  template <class U>
    requires(std::is_base_of_v<U, T> && !std::same_as<U, T>)
  operator U() const noexcept {
    std::unreachable();
  }
};

template <class T, std::size_t> using AnythingAt = Anything<T>;

template <class T, std::size_t... I> consteval bool takes_values(std::index_sequence<I...>) {
  return requires { T{AnythingAt<T, I>{}...}; };
}

template <class T, std::size_t N = too_many_fields> consteval std::size_t count_by_values() {
  if constexpr (N == 0 || takes_values<T>(std::make_index_sequence<N>{})) {
    return N;
  } else {
    return count_by_values<T, N - 1>();
  }
}

template <class T> consteval std::size_t count_by_braces() {
  // clang-format off
  if constexpr (!requires { T{{}}; }) return 0; else
  if constexpr (!requires { T{{}, {}}; }) return 1; else
  if constexpr (!requires { T{{}, {}, {}}; }) return 2; else
  if constexpr (!requires { T{{}, {}, {}, {}}; }) return 3; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}}; }) return 4; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}}; }) return 5; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}}; }) return 6; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}}; }) return 7; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 8; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 9; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 10; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 11; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 12; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 13; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 14; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 15; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 16; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 17; else
  if constexpr (!requires { T{{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}; }) return 18; else
  if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 19; else
  if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 20; else
  if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 21; else
  if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 22; else
  if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 23; else
  if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 24; else
  if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 25; else
  if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 26; else
  if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 27; else
  if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 28; else
  if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 29; else
  if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 30; else
  if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 31; else
  if constexpr (!requires { T{{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}}; }) return 32; else
    // clang-format on
    return too_many_fields;
}

/// The number of fields of the aggregate T; `too_many_fields` for more than 32.
template <class T> consteval std::size_t count_fields() {
  if constexpr (requires { T{}; }) {
    return count_by_braces<T>();
  } else {
    return count_by_values<T>();
  }
}

template <class T, std::size_t... I> consteval bool takes_base(std::index_sequence<I...>) {
  return requires { T{BaseOf<T>{}, AnythingAt<T, I>{}...}; };
}

/// Whether the aggregate T has a base class, which a structured binding cannot look into.
template <class T> consteval bool has_base() {
  if constexpr (requires { T{BaseOf<T>{}}; }) {
    return true;
  } else {
    constexpr std::size_t count = count_fields<T>();
    return count > 1 && takes_base<T>(std::make_index_sequence < count == 0 ? 0 : count - 1 > {});
  }
}

/// Calls f(List<declared types>{}, fields...) and returns what it returns. T may be const.
template <class T, class F> constexpr decltype(auto) visit_fields(T& value, F&& f) {
  constexpr std::size_t count = count_fields<std::remove_const_t<T>>();
  static_assert(count <= max_fields);
  if constexpr (count == 0) {
    return f(List<>{});
  } else if constexpr (count == 1) {
    auto& [f0] = value;
    return f(List<decltype(f0)>{}, f0);
  } else if constexpr (count == 2) {
    auto& [f0, f1] = value;
    return f(List<decltype(f0), decltype(f1)>{}, f0, f1);
  } else if constexpr (count == 3) {
    auto& [f0, f1, f2] = value;
    return f(List<decltype(f0), decltype(f1), decltype(f2)>{}, f0, f1, f2);
  } else if constexpr (count == 4) {
    auto& [f0, f1, f2, f3] = value;
    return f(List<decltype(f0), decltype(f1), decltype(f2), decltype(f3)>{}, f0, f1, f2, f3);
  } else if constexpr (count == 5) {
    auto& [f0, f1, f2, f3, f4] = value;
    return f(List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4)>{}, f0, f1,
             f2, f3, f4);
  } else if constexpr (count == 6) {
    auto& [f0, f1, f2, f3, f4, f5] = value;
    return f(
        List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5)>{},
        f0, f1, f2, f3, f4, f5);
  } else if constexpr (count == 7) {
    auto& [f0, f1, f2, f3, f4, f5, f6] = value;
    return f(List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                  decltype(f5), decltype(f6)>{},
             f0, f1, f2, f3, f4, f5, f6);
  } else if constexpr (count == 8) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7] = value;
    return f(List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                  decltype(f5), decltype(f6), decltype(f7)>{},
             f0, f1, f2, f3, f4, f5, f6, f7);
  } else if constexpr (count == 9) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8] = value;
    return f(List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                  decltype(f5), decltype(f6), decltype(f7), decltype(f8)>{},
             f0, f1, f2, f3, f4, f5, f6, f7, f8);
  } else if constexpr (count == 10) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9] = value;
    return f(List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                  decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9)>{},
             f0, f1, f2, f3, f4, f5, f6, f7, f8, f9);
  } else if constexpr (count == 11) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10] = value;
    return f(
        List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5),
             decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10)>{},
        f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10);
  } else if constexpr (count == 12) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11] = value;
    return f(List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                  decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                  decltype(f10), decltype(f11)>{},
             f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11);
  } else if constexpr (count == 13) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12] = value;
    return f(List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                  decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                  decltype(f10), decltype(f11), decltype(f12)>{},
             f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12);
  } else if constexpr (count == 14) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13] = value;
    return f(List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                  decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                  decltype(f10), decltype(f11), decltype(f12), decltype(f13)>{},
             f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13);
  } else if constexpr (count == 15) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14] = value;
    return f(List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                  decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                  decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14)>{},
             f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14);
  } else if constexpr (count == 16) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15] = value;
    return f(
        List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5),
             decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11),
             decltype(f12), decltype(f13), decltype(f14), decltype(f15)>{},
        f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15);
  } else if constexpr (count == 17) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16] = value;
    return f(
        List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5),
             decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11),
             decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16)>{},
        f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16);
  } else if constexpr (count == 18) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17] = value;
    return f(List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                  decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                  decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                  decltype(f15), decltype(f16), decltype(f17)>{},
             f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17);
  } else if constexpr (count == 19) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18] =
        value;
    return f(List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                  decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                  decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                  decltype(f15), decltype(f16), decltype(f17), decltype(f18)>{},
             f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18);
  } else if constexpr (count == 20) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18,
           f19] = value;
    return f(List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                  decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                  decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                  decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19)>{},
             f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18,
             f19);
  } else if constexpr (count == 21) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20] = value;
    return f(
        List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5),
             decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11),
             decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16),
             decltype(f17), decltype(f18), decltype(f19), decltype(f20)>{},
        f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
        f20);
  } else if constexpr (count == 22) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21] = value;
    return f(
        List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5),
             decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11),
             decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16),
             decltype(f17), decltype(f18), decltype(f19), decltype(f20), decltype(f21)>{},
        f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
        f20, f21);
  } else if constexpr (count == 23) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22] = value;
    return f(List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                  decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                  decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                  decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                  decltype(f20), decltype(f21), decltype(f22)>{},
             f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18,
             f19, f20, f21, f22);
  } else if constexpr (count == 24) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23] = value;
    return f(List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                  decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                  decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                  decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                  decltype(f20), decltype(f21), decltype(f22), decltype(f23)>{},
             f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18,
             f19, f20, f21, f22, f23);
  } else if constexpr (count == 25) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24] = value;
    return f(List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                  decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                  decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                  decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                  decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24)>{},
             f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18,
             f19, f20, f21, f22, f23, f24);
  } else if constexpr (count == 26) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25] = value;
    return f(
        List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5),
             decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11),
             decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16),
             decltype(f17), decltype(f18), decltype(f19), decltype(f20), decltype(f21),
             decltype(f22), decltype(f23), decltype(f24), decltype(f25)>{},
        f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
        f20, f21, f22, f23, f24, f25);
  } else if constexpr (count == 27) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26] = value;
    return f(
        List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5),
             decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11),
             decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16),
             decltype(f17), decltype(f18), decltype(f19), decltype(f20), decltype(f21),
             decltype(f22), decltype(f23), decltype(f24), decltype(f25), decltype(f26)>{},
        f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
        f20, f21, f22, f23, f24, f25, f26);
  } else if constexpr (count == 28) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26, f27] = value;
    return f(List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                  decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                  decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                  decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                  decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24),
                  decltype(f25), decltype(f26), decltype(f27)>{},
             f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18,
             f19, f20, f21, f22, f23, f24, f25, f26, f27);
  } else if constexpr (count == 29) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26, f27, f28] = value;
    return f(List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                  decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                  decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                  decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                  decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24),
                  decltype(f25), decltype(f26), decltype(f27), decltype(f28)>{},
             f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18,
             f19, f20, f21, f22, f23, f24, f25, f26, f27, f28);
  } else if constexpr (count == 30) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26, f27, f28, f29] = value;
    return f(List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4),
                  decltype(f5), decltype(f6), decltype(f7), decltype(f8), decltype(f9),
                  decltype(f10), decltype(f11), decltype(f12), decltype(f13), decltype(f14),
                  decltype(f15), decltype(f16), decltype(f17), decltype(f18), decltype(f19),
                  decltype(f20), decltype(f21), decltype(f22), decltype(f23), decltype(f24),
                  decltype(f25), decltype(f26), decltype(f27), decltype(f28), decltype(f29)>{},
             f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18,
             f19, f20, f21, f22, f23, f24, f25, f26, f27, f28, f29);
  } else if constexpr (count == 31) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30] = value;
    return f(
        List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5),
             decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11),
             decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16),
             decltype(f17), decltype(f18), decltype(f19), decltype(f20), decltype(f21),
             decltype(f22), decltype(f23), decltype(f24), decltype(f25), decltype(f26),
             decltype(f27), decltype(f28), decltype(f29), decltype(f30)>{},
        f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
        f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30);
  } else if constexpr (count == 32) {
    auto& [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
           f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31] = value;
    return f(
        List<decltype(f0), decltype(f1), decltype(f2), decltype(f3), decltype(f4), decltype(f5),
             decltype(f6), decltype(f7), decltype(f8), decltype(f9), decltype(f10), decltype(f11),
             decltype(f12), decltype(f13), decltype(f14), decltype(f15), decltype(f16),
             decltype(f17), decltype(f18), decltype(f19), decltype(f20), decltype(f21),
             decltype(f22), decltype(f23), decltype(f24), decltype(f25), decltype(f26),
             decltype(f27), decltype(f28), decltype(f29), decltype(f30), decltype(f31)>{},
        f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
        f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31);
  }
}

struct ListOf {
  template <class Types, class... Fs> constexpr Types operator()(Types types, Fs&...) const {
    return types;
  }
};

/// The declared types of T's fields as a List; const and references kept.
template <class T> using FieldTypes = decltype(visit_fields(std::declval<T&>(), ListOf{}));

}  // namespace bulkhead::wire::detail

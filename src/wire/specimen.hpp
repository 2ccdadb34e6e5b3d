// SPDX-License-Identifier: Apache-2.0
//
// Specimen: one struct that holds every form that can be encoded without handles, for the tests and
// the fuzz target; and how to make random values of any encodable type.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <bulkhead/exit.hpp>
#include <bulkhead/wire.hpp>

namespace bulkhead::wire {

enum class Colour : std::uint16_t { red = 1, green = 2 };
enum Plain : std::int8_t { low = -1, high = 1 };

struct Nothing {
  bool operator==(const Nothing&) const = default;
};

/// Laid out in memory as on the wire.
struct Point {
  float x = 0;
  float y = 0;
  std::int32_t cell[2] = {};
  bool operator==(const Point&) const = default;
};

/// Padded in memory, not on the wire.
struct Padded {
  std::uint8_t a = 0;
  std::uint64_t b = 0;
  bool c = false;
  bool operator==(const Padded&) const = default;
};

/// Holds itself in a vector.
struct Tree {
  std::int32_t value = 0;
  std::vector<Tree> children;
  bool operator==(const Tree&) const = default;
};

/// Holds itself behind a pointer.
struct Node {
  std::int32_t value = 0;
  std::unique_ptr<Node> next;
  bool operator==(const Node& other) const {
    return value == other.value && (next != nullptr) == (other.next != nullptr) &&
           (!next || *next == *other.next);
  }
};

struct Numbers {
  bool boolean = false;
  char letter = 'a';
  std::int8_t i8 = 0;
  std::uint8_t u8 = 0;
  std::int16_t i16 = 0;
  std::uint16_t u16 = 0;
  std::int32_t i32 = 0;
  std::uint32_t u32 = 0;
  std::int64_t i64 = 0;
  std::uint64_t u64 = 0;
  float f32 = 0;
  double f64 = 0;
  Colour colour = Colour::red;
  Plain plain = low;
  std::byte byte{};
  std::chrono::milliseconds duration{};
  bool operator==(const Numbers&) const = default;
};

struct Specimen {
  Numbers numbers;
  std::string text;
  std::vector<std::uint8_t> bytes;
  std::vector<bool> flags;
  std::vector<Point> points;
  std::vector<Padded> padded;
  std::vector<std::string> words;
  std::vector<double> doubles;
  std::vector<Nothing> nothings;
  std::array<Padded, 2> pair_of_padded;
  std::array<std::string, 2> pair_of_words;
  std::optional<std::string> maybe;
  std::variant<std::monostate, std::int32_t, std::string, Point> either;
  std::map<std::string, std::int32_t> sorted;
  std::unordered_map<std::int32_t, std::string> hashed;
  std::set<std::int16_t> set;
  std::pair<std::int32_t, std::string> pair;
  std::tuple<std::uint8_t, bool, std::vector<float>> tuple;
  std::filesystem::path path;
  Tree tree;
  Node list;
  Exit exit;
  std::expected<std::int32_t, std::string> outcome;
  std::expected<void, Colour> nothing_or_colour;
  std::optional<Result<std::int32_t>> result;
};

namespace detail {

/// Random values: small and large, and now and then the ends of the range.
class Chance {
 public:
  explicit Chance(std::uint64_t seed) : bits_(seed) {}

  std::uint64_t below(std::uint64_t bound) { return bits_() % bound; }
  template <class T> T number() {
    const std::uint64_t raw = below(4) == 0 ? (below(2) == 0 ? 0 : ~std::uint64_t{0}) : bits_();
    if constexpr (std::is_floating_point_v<T>) {
      return static_cast<T>(
          static_cast<std::int64_t>(raw >> 20));  // never a NaN: it equals nothing
    } else {
      return static_cast<T>(raw);
    }
  }
  template <class T> void fill(T& value, unsigned depth = 0);

 private:
  template <class C> void fill_keyed(C& value, unsigned depth);

  std::mt19937_64 bits_;
};

template <class C> void Chance::fill_keyed(C& value, unsigned depth) {
  for (std::uint64_t count = below(4); count > 0; --count) {
    typename C::key_type key{};
    fill(key, depth);
    if constexpr (form_of<C> == Form::map) {
      fill(value[key], depth);
    } else {
      value.insert(key);
    }
  }
}

template <class T> void Chance::fill(T& value, unsigned depth) {
  constexpr Form form = form_of<T>;
  if constexpr (form == Form::boolean) {
    value = below(2) == 1;
  } else if constexpr (form == Form::scalar) {
    value = number<T>();
  } else if constexpr (form == Form::sequence) {
    const std::uint64_t room = depth > 4 ? 1 : below(8) == 0 ? 3000 : 5;
    value.resize(below(room));
    if constexpr (std::same_as<First<T>, bool>) {
      for (std::size_t i = 0; i < value.size(); ++i) value[i] = below(2) == 1;
    } else {
      if (depth > 0 && value.size() > 5 && !is_fixed<First<T>>) value.resize(5);
      for (auto& element : value) fill(element, depth + 1);
    }
  } else if constexpr (form == Form::array) {
    for (auto& element : value) fill(element, depth);
  } else if constexpr (form == Form::path) {
    value = "/some/where/" + std::to_string(below(1000));
  } else if constexpr (form == Form::duration) {
    value = T(number<typename T::rep>());
  } else if constexpr (form == Form::optional || form == Form::pointer) {
    if (depth > 40 || below(3) == 0) return;
    if constexpr (form == Form::optional) {
      fill(value.emplace(), depth + 1);
    } else {
      value = std::make_unique<First<T>>();
      fill(*value, depth + 1);
    }
  } else if constexpr (form == Form::variant) {
    const std::uint64_t which = below(Parts<T>::size);
    [&]<class... As, std::size_t... I>(List<As...>, std::index_sequence<I...>) {
      (void)((which == I && (fill(value.template emplace<I>(), depth), true)) || ...);
    }(Parts<T>{}, std::make_index_sequence<Parts<T>::size>{});
  } else if constexpr (form == Form::map || form == Form::set) {
    fill_keyed(value, depth);
  } else if constexpr (form == Form::tuple) {
    std::apply([&](auto&... parts) { (fill(parts, depth), ...); }, value);
  } else if constexpr (form == Form::expected) {
    if (below(3) > 0) {
      if constexpr (Parts<T>::size > 1) fill(*value, depth);
    } else if constexpr (std::same_as<typename T::error_type, Error>) {
      value = fail(ErrorKind::closed);
    } else {
      typename T::error_type error{};
      fill(error, depth);
      value = std::unexpected(error);
    }
  } else {
    visit_fields(value, [&](auto, auto&... fields) { (fill(fields, depth + 1), ...); });
  }
}

}  // namespace detail
}  // namespace bulkhead::wire

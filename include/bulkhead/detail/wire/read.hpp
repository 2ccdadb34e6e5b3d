// SPDX-License-Identifier: Apache-2.0
//
// Reading: a value from its encoding.
//
// TRUST: every byte may be a lie. The bytes themselves must not change meanwhile: whoever calls has
// copied or frozen them (Message has). Nothing is allocated for a count before the bytes that it
// announces are known to be there; from an untrusted peer, no more in all than 4 bytes for each
// byte of the message, and 1 MiB; and no recursion is deeper than 64 structs.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include <bulkhead/bytes.hpp>
#include <bulkhead/detail/wire/fault.hpp>
#include <bulkhead/detail/wire/form.hpp>
#include <bulkhead/detail/wire/size.hpp>
#include <bulkhead/detail/wire/write.hpp>

namespace bulkhead::wire::detail {

template <class T> consteval bool is_made_in_place();

/// Whether a T can be made from nothing first and be read into then; else its parts are read first.
template <class T> inline constexpr bool in_place = is_made_in_place<T>();

template <class... Ts> consteval bool all_in_place(List<Ts...>) { return (in_place<Ts> && ...); }

template <class T> consteval bool is_made_in_place() {
  if constexpr (std::is_const_v<T> || !std::is_default_constructible_v<T>) {
    return false;
  } else if constexpr (form_of<T> == Form::aggregate || form_of<T> == Form::tuple ||
                       form_of<T> == Form::array) {
    return all_in_place(Parts<T>{});
  } else {
    return true;
  }
}

template <std::integral N> N load(const std::byte* from) noexcept {
  if constexpr (std::endian::native == std::endian::little) {
    N number;
    std::memcpy(&number, from, sizeof number);
    return number;
  } else {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < sizeof(N); ++i) {
      number |= std::to_integer<std::uint64_t>(from[i]) << (8 * i);
    }
    return static_cast<N>(number);
  }
}

/// Reads a T of fixed size, whose bytes are there, and steps behind it. False for a bool that is
/// neither 0 nor 1, with `from` at it.
template <class T> bool read_fixed(const std::byte*& from, T& value) noexcept {
  constexpr Form form = form_of<T>;
  if constexpr (is_flat<T>) {
    std::memcpy(static_cast<void*>(&value), from, sizeof value);
    from += sizeof value;
    return true;
  } else if constexpr (form == Form::boolean || form == Form::scalar) {
    if constexpr (is_bool<T>()) {
      if (*from > std::byte{1}) return false;
      value = static_cast<T>(*from == std::byte{1});
    } else {
      value = std::bit_cast<T>(load<Unsigned<T>>(from));
    }
    from += sizeof value;
    return true;
  } else if constexpr (form == Form::array) {
    for (auto& element : value) {
      if (!read_fixed(from, element)) return false;
    }
    return true;
  } else if constexpr (form == Form::duration) {
    typename T::rep count{};
    const bool done = read_fixed(from, count);
    value = T(count);
    return done;
  } else if constexpr (form == Form::tuple) {
    return std::apply([&](auto&... parts) { return (read_fixed(from, parts) && ...); }, value);
  } else {
    static_assert(form == Form::aggregate);
    return visit_fields(value,
                        [&](auto, auto&... fields) { return (read_fixed(from, fields) && ...); });
  }
}

class Reader {
 public:
  Reader(Bytes bytes, std::span<Handle> handles, Trust trust) noexcept
      : begin_(bytes.data()),
        at_(bytes.data()),
        end_(bytes.data() + bytes.size()),
        handles_(handles),
        trust_(trust),
        memory_(trust == Trust::untrusted ? memory_per_byte * bytes.size() + memory_floor
                                          : static_cast<std::uint64_t>(-1)) {}

  std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }
  std::size_t handles_left() const noexcept { return handles_.size() - next_handle_; }
  const Trouble& trouble() const noexcept { return trouble_; }
  const std::optional<Error>& cause() const noexcept { return cause_; }

  bool stop(Fault fault, std::uint64_t a = 0, std::uint64_t b = 0) noexcept {
    trouble_ = {fault, static_cast<std::size_t>(at_ - begin_), a, b};
    return false;
  }

  /// Into a T that exists.
  template <class T> bool read(T& value);
  /// Makes the T in `slot`, of types too that cannot be made from nothing.
  template <class T> bool fill(std::optional<T>& slot);

 private:
  bool need(std::uint64_t size) noexcept {
    return size <= left() || stop(Fault::truncated, size, left());
  }
  bool charge(std::uint64_t size) noexcept {
    if (size > memory_) return stop(Fault::memory, size, memory_);
    memory_ -= size;
    return true;
  }
  bool byte(std::uint8_t& value) noexcept {
    if (!need(1)) return false;
    value = std::to_integer<std::uint8_t>(*at_++);
    return true;
  }
  bool flag(bool& value) noexcept {
    if (!need(1)) return false;
    if (*at_ > std::byte{1}) return stop(Fault::tag, std::to_integer<std::uint8_t>(*at_));
    value = *at_++ == std::byte{1};
    return true;
  }

  /// The count of a container whose elements have at least `Min` bytes and take `Memory`.
  template <std::size_t Min, std::size_t Memory> bool count(std::size_t& value) noexcept;
  template <class T> bool read_sequence(T& value);
  template <class T> void take_flat(T& value, std::size_t count);
  template <class T> bool read_map(T& value);
  template <class T> bool read_set(T& value);
  template <class T> bool read_path(T& value);
  template <class T> bool fill_alternative(std::optional<T>& slot);
  template <class T> bool read_pointer(T& value);
  template <class T> bool fill_handle(std::optional<T>& slot);
  template <class T, class... Ps, std::size_t... I>
  bool fill_parts(std::optional<T>& slot, List<Ps...>, std::index_sequence<I...>);
  template <class T, std::size_t... I>
  bool fill_array(std::optional<T>& slot, std::index_sequence<I...>);
  template <class F> bool deeper(F&& inside);
  BULKHEAD_API bool fill_error(std::optional<Error>& slot);
  BULKHEAD_API bool take_handle(std::optional<Handle>& slot, const Handle::Kind* kind);
  BULKHEAD_API bool refuse_handle(Error error);

  const std::byte* begin_;
  const std::byte* at_;
  const std::byte* end_;
  std::span<Handle> handles_;
  std::size_t next_handle_ = 0;
  Trust trust_;
  unsigned depth_ = 0;
  std::uint64_t memory_;
  std::uint64_t empty_elements_ = 0;
  Trouble trouble_;
  std::optional<Error> cause_;
};

template <class T> bool Reader::read(T& value) {
  constexpr Form form = form_of<T>;
  if constexpr (is_fixed<T>) {
    if (!need(fixed_size<T>)) return false;
    return read_fixed(at_, value) || stop(Fault::boolean, std::to_integer<std::uint8_t>(*at_));
  } else if constexpr (form == Form::sequence) {
    return read_sequence(value);
  } else if constexpr (form == Form::path) {
    return read_path(value);
  } else if constexpr (form == Form::array) {
    for (auto& element : value) {
      if (!read(element)) return false;
    }
    return true;
  } else if constexpr (form == Form::map) {
    return read_map(value);
  } else if constexpr (form == Form::set) {
    return read_set(value);
  } else if constexpr (form == Form::optional) {
    bool present = false;
    if (!flag(present)) return false;
    value.reset();
    return !present || fill(value);
  } else if constexpr (form == Form::pointer) {
    return read_pointer(value);
  } else if constexpr (form == Form::tuple) {
    return std::apply([&](auto&... parts) { return (read(parts) && ...); }, value);
  } else if constexpr (form == Form::aggregate) {
    return deeper([&] {
      return visit_fields(value, [&](auto, auto&... fields) { return (read(fields) && ...); });
    });
  } else {
    std::optional<T> slot;  // variant, expected, handle, error: what it becomes is in the bytes
    if (!fill(slot)) return false;
    value = std::move(*slot);
    return true;
  }
}

template <class T> bool Reader::fill(std::optional<T>& slot) {
  constexpr Form form = form_of<T>;
  if constexpr (form == Form::variant) {
    return fill_alternative(slot);
  } else if constexpr (form == Form::expected) {
    bool good = false;
    if (!flag(good)) return false;
    std::optional<typename T::error_type> error;
    if (!good) {
      if (!fill(error)) return false;
      slot.emplace(std::unexpect, std::move(*error));
    } else if constexpr (Parts<T>::size == 1) {
      slot.emplace();
    } else {
      std::optional<typename T::value_type> value;
      if (!fill(value)) return false;
      slot.emplace(std::move(*value));
    }
    return true;
  } else if constexpr (form == Form::error) {
    return fill_error(slot);
  } else if constexpr (form == Form::handle) {
    return fill_handle(slot);
  } else if constexpr (in_place<T>) {
    slot.emplace();
    return read(*slot);
  } else if constexpr (form == Form::array) {
    return fill_array(slot, std::make_index_sequence<extent<T>>{});
  } else if constexpr (form == Form::aggregate) {
    return deeper(
        [&] { return fill_parts(slot, Parts<T>{}, std::make_index_sequence<Parts<T>::size>{}); });
  } else {
    return fill_parts(slot, Parts<T>{}, std::make_index_sequence<Parts<T>::size>{});
  }
}

template <std::size_t Min, std::size_t Memory> bool Reader::count(std::size_t& value) noexcept {
  if (!need(count_size)) return false;
  const auto announced = load<std::uint64_t>(at_);
  if constexpr (Min > 0) {
    const std::size_t most = (left() - count_size) / Min;
    if (announced > most) return stop(Fault::count, announced, most);
  } else {
    const std::uint64_t most = max_empty_elements - empty_elements_;
    if (announced > most) return stop(Fault::empty_elements, announced, most);
    empty_elements_ += announced;
  }
  // No overflow: announced is at most the bytes of a message, Memory the size of a type.
  if (!charge(announced * Memory)) return false;
  at_ += count_size;
  value = static_cast<std::size_t>(announced);
  return true;
}

template <class T> bool Reader::read_sequence(T& value) {
  using E = First<T>;
  std::size_t size = 0;
  if (!count<min_size<E>, sizeof(E)>(size)) return false;
  if constexpr (is_flat<E>) {
    take_flat(value, size);
  } else if constexpr (std::same_as<E, bool>) {
    value.assign(size, false);
    for (std::size_t i = 0; i < size; ++i) {
      bool element = false;
      if (!read(element)) return false;
      value[i] = element;
    }
  } else {
    value.clear();
    value.reserve(size);
    for (std::size_t i = 0; i < size; ++i) {
      if constexpr (in_place<E>) {
        if (!read(value.emplace_back())) return false;
      } else {
        std::optional<E> element;
        if (!fill(element)) return false;
        value.push_back(std::move(*element));
      }
    }
  }
  return true;
}

/// One pass over memory: straight from the message where its bytes lie as an E must, else through a
/// block that stays in the nearest cache. (resize and memcpy would clear all of it first.)
template <class T> void Reader::take_flat(T& value, std::size_t size) {
  using E = First<T>;
  const auto take = [&](const std::byte* bytes, std::size_t count) {
    const auto* elements = reinterpret_cast<const E*>(bytes);
    value.insert(value.end(), elements, elements + count);
  };
  value.clear();
  value.reserve(size);
  if (alignof(E) == 1 || reinterpret_cast<std::uintptr_t>(at_) % alignof(E) == 0) {
    take(at_, size);
    at_ += size * sizeof(E);
    return;
  }
  constexpr std::size_t block = sizeof(E) < 4096 ? 4096 / sizeof(E) : 1;
  alignas(E) std::byte aligned[block * sizeof(E)];
  for (std::size_t done = 0; done < size;) {
    const std::size_t now = size - done < block ? size - done : block;
    std::memcpy(aligned, at_, now * sizeof(E));
    take(aligned, now);
    at_ += now * sizeof(E);
    done += now;
  }
}

// What a node of a map or set takes beside its element; a guess that no common library exceeds.
inline constexpr std::size_t node_overhead = 32;

template <class T> bool Reader::read_map(T& value) {
  using K = typename T::key_type;
  using M = typename T::mapped_type;
  std::size_t size = 0;
  if (!count<min_size<K> + min_size<M>, sizeof(typename T::value_type) + node_overhead>(size)) {
    return false;
  }
  value.clear();
  if constexpr (requires { value.reserve(size); }) value.reserve(size);
  for (std::size_t i = 0; i < size; ++i) {
    std::optional<K> key;
    std::optional<M> mapped;
    if (!fill(key) || !fill(mapped)) return false;
    value.emplace_hint(value.end(), std::move(*key), std::move(*mapped));
    if (value.size() != i + 1) return stop(Fault::duplicate);
  }
  return true;
}

template <class T> bool Reader::read_set(T& value) {
  using K = typename T::key_type;
  std::size_t size = 0;
  if (!count<min_size<K>, sizeof(K) + node_overhead>(size)) return false;
  value.clear();
  for (std::size_t i = 0; i < size; ++i) {
    std::optional<K> key;
    if (!fill(key)) return false;
    value.emplace_hint(value.end(), std::move(*key));
    if (value.size() != i + 1) return stop(Fault::duplicate);
  }
  return true;
}

template <class T> bool Reader::read_path(T& value) {
  std::size_t size = 0;
  if (!count<1, 2>(size)) return false;
  std::string text;
  take_flat(text, size);
  // A path holds an object for each of its components.
  std::uint64_t components = 1;
  for (const char c : text) components += c == '/' ? 1 : 0;
  if (components > 1 && !charge((components + 1) * (sizeof(T) + 8))) return false;
  value = T(std::move(text));
  return true;
}

template <class T> bool Reader::fill_alternative(std::optional<T>& slot) {
  static_assert(Parts<T>::size <= 255, "Bulkhead: a variant of at most 255 alternatives");
  std::uint8_t index = 0;
  if (!byte(index)) return false;
  if (index >= Parts<T>::size) {
    --at_;
    return stop(Fault::alternative, index, Parts<T>::size);
  }
  const auto make = [&]<std::size_t I, class A>(std::in_place_index_t<I> which, const List<A>*) {
    std::optional<A> alternative;
    if (!fill(alternative)) return false;
    slot.emplace(which, std::move(*alternative));
    return true;
  };
  bool done = false;
  [&]<class... As, std::size_t... I>(List<As...>, std::index_sequence<I...>) {
    (void)((index == I &&
            ((done = make(std::in_place_index<I>, static_cast<List<As>*>(nullptr))), true)) ||
           ...);
  }(Parts<T>{}, std::make_index_sequence<Parts<T>::size>{});
  return done;
}

template <class T> bool Reader::read_pointer(T& value) {
  using E = First<T>;
  bool present = false;
  value.reset();
  if (!flag(present)) return false;
  if (!present) return true;
  if (!charge(sizeof(E))) return false;
  if constexpr (in_place<E>) {
    value = std::make_unique<E>();
    return read(*value);
  } else {
    std::optional<std::remove_const_t<E>> slot;
    if (!fill(slot)) return false;
    value = std::make_unique<E>(std::move(*slot));
    return true;
  }
}

template <class T> bool Reader::fill_handle(std::optional<T>& slot) {
  constexpr bool known = is_one_of<T, Fd, Region, Channel>;
  constexpr Handle::Kind kind = std::same_as<T, Region>    ? Handle::Kind::region
                                : std::same_as<T, Channel> ? Handle::Kind::channel
                                                           : Handle::Kind::descriptor;
  std::optional<Handle> handle;
  if (!take_handle(handle, known ? &kind : nullptr)) return false;
  if constexpr (std::same_as<T, Fd>) {
    slot.emplace(std::move(*handle).take_fd());
  } else {
    auto made = T::from_handle(std::move(*handle), trust_);
    if (!made) return refuse_handle(std::move(made).error());
    slot.emplace(std::move(*made));
  }
  return true;
}

template <class T, class... Ps, std::size_t... I>
bool Reader::fill_parts(std::optional<T>& slot, List<Ps...>, std::index_sequence<I...>) {
  static_assert(
      !(std::is_array_v<Ps> || ...),
      "Bulkhead: beside a field that cannot be made from nothing (a Channel, a const), use "
      "std::array rather than a C array");
  std::tuple<std::optional<std::remove_const_t<Ps>>...> parts;
  if (!(fill(std::get<I>(parts)) && ...)) return false;
  if constexpr (form_of<T> == Form::aggregate) {
    slot.emplace(T{std::move(*std::get<I>(parts))...});
  } else {
    slot.emplace(std::move(*std::get<I>(parts))...);
  }
  return true;
}

template <class T, std::size_t... I>
bool Reader::fill_array(std::optional<T>& slot, std::index_sequence<I...>) {
  std::array<std::optional<std::remove_const_t<First<T>>>, sizeof...(I)> elements;
  for (auto& element : elements) {
    if (!fill(element)) return false;
  }
  slot.emplace(T{{std::move(*elements[I])...}});
  return true;
}

template <class F> bool Reader::deeper(F&& inside) {
  if (depth_ == max_depth) return stop(Fault::too_deep);
  ++depth_;
  const bool done = inside();
  --depth_;
  return done;
}

}  // namespace bulkhead::wire::detail

// SPDX-License-Identifier: Apache-2.0
//
// Writing: a value's encoding, appended to a vector of bytes. The format is docs/protocol/wire.md.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <bulkhead/detail/wire/fault.hpp>
#include <bulkhead/detail/wire/form.hpp>
#include <bulkhead/detail/wire/size.hpp>

namespace bulkhead::wire::detail {

/// The number, in little-endian order whatever the machine's.
template <std::integral N> void store(std::byte* to, N number) noexcept {
  for (std::size_t i = 0; std::endian::native != std::endian::little && i < sizeof number; ++i) {
    to[i] = static_cast<std::byte>(static_cast<std::uint64_t>(number) >> (8 * i));
  }
  if (std::endian::native == std::endian::little) std::memcpy(to, &number, sizeof number);
}

template <class T>
using Unsigned = std::conditional_t<
    sizeof(T) == 1, std::uint8_t,
    std::conditional_t<sizeof(T) == 2, std::uint16_t,
                       std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>>;

/// Writes a T of fixed size, for which there is room, and steps behind it.
template <class T> void write_fixed(std::byte*& to, const T& value) noexcept {
  constexpr Form form = form_of<T>;
  if constexpr (is_flat<T>) {
    std::memcpy(to, &value, sizeof value);
    to += sizeof value;
  } else if constexpr (form == Form::boolean || form == Form::scalar) {
    if constexpr (is_bool<std::remove_const_t<T>>()) {
      *to = static_cast<bool>(value) ? std::byte{1} : std::byte{0};
    } else {
      store(to, std::bit_cast<Unsigned<T>>(value));
    }
    to += sizeof value;
  } else if constexpr (form == Form::array) {
    for (const auto& element : value) write_fixed(to, element);
  } else if constexpr (form == Form::duration) {
    write_fixed(to, value.count());
  } else if constexpr (form == Form::tuple) {
    std::apply([&](const auto&... parts) { (write_fixed(to, parts), ...); }, value);
  } else {
    static_assert(form == Form::aggregate);
    visit_fields(value, [&](auto, const auto&... fields) { (write_fixed(to, fields), ...); });
  }
}

class Writer {
 public:
  Writer(std::vector<std::byte>& out, std::vector<Handle>* handles) noexcept
      : out_(out),
        size_(out.size()),
        handles_(handles),
        first_handle_(handles ? handles->size() : 0) {}

  const Trouble& trouble() const noexcept { return trouble_; }
  const std::optional<Error>& cause() const noexcept { return cause_; }

  /// Prepares for a value of `size` bytes: one allocation at most, and twice as much as before at
  /// least, so that many small values cost few. What is small gets its room at once, too.
  void begin(std::size_t size) {
    size_ = out_.size();
    const std::size_t needed = size_ + size;
    if (needed > out_.capacity()) {
      out_.reserve(needed > 2 * out_.capacity() ? needed : 2 * out_.capacity());
    }
    if (size <= made_at_once) out_.resize(needed);
  }
  /// Ends a value: of what begin() made, only what was written stays.
  void end() noexcept { out_.resize(size_); }

  template <class T> bool write(T& value);

 private:
  // Clearing a larger value's room first would cost as much as writing it.
  static constexpr std::size_t made_at_once = 2048;

  std::byte* room(std::size_t size) {
    const std::size_t before = size_;
    size_ += size;
    if (size_ > out_.size()) out_.resize(size_);
    return out_.data() + before;
  }
  template <std::integral N> void number(N value) { store(room(sizeof value), value); }
  void append(const void* data, std::size_t size) {
    if (size == 0) return;
    if (size_ + size <= out_.size()) {
      std::memcpy(room(size), data, size);
    } else {
      const auto* bytes = static_cast<const std::byte*>(data);
      end();
      out_.insert(out_.end(), bytes, bytes + size);
      size_ += size;
    }
  }
  bool stop(Fault fault, std::uint64_t a = 0, std::uint64_t b = 0) noexcept {
    trouble_ = {fault, size_, a, b};
    return false;
  }

  template <class T> bool write_elements(T& values);
  template <class T> bool write_sequence(T& value);
  template <class T> bool write_map(T& value);
  template <class T> bool write_variant(T& value);
  template <class T> bool write_expected(T& value);
  template <class T> bool write_aggregate(T& value);
  template <class T> bool write_handle(T& value);
  BULKHEAD_API bool write_error(const Error& error);
  BULKHEAD_API bool put_handle(Result<Handle> handle);

  std::vector<std::byte>& out_;
  std::size_t size_;  // of what is written; out_ may hold room behind it
  std::vector<Handle>* handles_;
  std::size_t first_handle_;
  unsigned depth_ = 0;
  std::uint64_t empty_elements_ = 0;
  Trouble trouble_;
  std::optional<Error> cause_;
};

template <class T> bool Writer::write(T& value) {
  constexpr Form form = form_of<T>;
  if constexpr (is_fixed<T>) {
    std::byte* to = room(fixed_size<T>);
    write_fixed(to, value);
    return true;
  } else if constexpr (form == Form::sequence || form == Form::set) {
    return write_sequence(value);
  } else if constexpr (form == Form::path) {
    return write_sequence(value.native());
  } else if constexpr (form == Form::array) {
    return write_elements(value);
  } else if constexpr (form == Form::map) {
    return write_map(value);
  } else if constexpr (form == Form::optional || form == Form::pointer) {
    number(static_cast<std::uint8_t>(value ? 1 : 0));
    return !value || write(*value);
  } else if constexpr (form == Form::variant) {
    return write_variant(value);
  } else if constexpr (form == Form::expected) {
    return write_expected(value);
  } else if constexpr (form == Form::error) {
    return write_error(value);
  } else if constexpr (form == Form::handle) {
    return write_handle(value);
  } else if constexpr (form == Form::tuple) {
    return std::apply([&](auto&... parts) { return (write(parts) && ...); }, value);
  } else {
    return write_aggregate(value);
  }
}

template <class T> bool Writer::write_sequence(T& value) {
  using E = First<T>;
  const auto count = static_cast<std::size_t>(value.size());
  if constexpr (is_fixed<E>) {
    if constexpr (fixed_size<E> == 0) {
      empty_elements_ += count;
      if (empty_elements_ > max_empty_elements) return stop(Fault::empty_elements);
    }
  }
  number(std::uint64_t{count});
  return write_elements(value);
}

template <class T> bool Writer::write_elements(T& values) {
  using E = First<T>;
  if constexpr (is_flat<E> && requires { std::data(values); }) {
    append(std::data(values), std::size(values) * sizeof(E));
  } else if constexpr (is_fixed<E>) {
    std::byte* to = room(std::size(values) * fixed_size<E>);
    for (const auto& element : values) write_fixed<E>(to, element);
  } else {
    for (auto& element : values) {
      if (!write(element)) return false;
    }
  }
  return true;
}

template <class T> bool Writer::write_map(T& value) {
  number(std::uint64_t{value.size()});
  for (auto& [key, mapped] : value) {
    if (!write(key) || !write(mapped)) return false;
  }
  return true;
}

template <class T> bool Writer::write_variant(T& value) {
  static_assert(Parts<T>::size <= 255, "Bulkhead: a variant of at most 255 alternatives");
  if (value.valueless_by_exception()) return stop(Fault::valueless);
  number(static_cast<std::uint8_t>(value.index()));
  return with_alternative(
      value, [&](auto& alternative) { return write(alternative); },
      std::make_index_sequence<Parts<T>::size>{});
}

template <class T> bool Writer::write_expected(T& value) {
  number(static_cast<std::uint8_t>(value ? 1 : 0));
  if (!value) return write(value.error());
  if constexpr (Parts<T>::size == 1) {
    return true;
  } else {
    return write(*value);
  }
}

template <class T> bool Writer::write_aggregate(T& value) {
  if (depth_ == max_depth) return stop(Fault::too_deep);
  ++depth_;
  const bool done =
      visit_fields(value, [&](auto, auto&... fields) { return (write(fields) && ...); });
  --depth_;
  return done;
}

template <class T> bool Writer::write_handle(T& value) {
  if (!handles_) return stop(Fault::no_handles);
  if constexpr (std::is_const_v<T>) {
    static_assert(
        !std::is_const_v<T>,
        "Bulkhead moves Fd, Region and Channel to the other process: the value that holds "
        "one must not be const, nor the key of a map or an element of a set");
    return false;
  } else if constexpr (std::same_as<T, Fd>) {
    if (!value) return stop(Fault::empty_handle);
    return put_handle(Handle{std::move(value)});
  } else {
    return put_handle(std::move(value).into_handle());
  }
}

}  // namespace bulkhead::wire::detail

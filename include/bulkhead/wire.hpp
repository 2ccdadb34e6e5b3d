// SPDX-License-Identifier: Apache-2.0
//
// Wire: C++ values to bytes and back, with the handles in them beside the bytes.
//
//   std::vector<std::byte> bytes = or_exit(bulkhead::encode(std::pair{7, "seven"s}));
//   auto value = or_exit(bulkhead::decode<std::pair<int, std::string>>(bytes));
//
// What can be encoded: bool, integers, float, double, enums, std::byte, std::string, std::vector,
// std::array, std::optional, std::variant, std::map, std::unordered_map, std::set, std::pair,
// std::tuple, std::unique_ptr, std::chrono durations, std::filesystem::path, Error, Exit, Result,
// plain structs of up to 32 public fields of these, which may hold themselves in a container, and
// the handles Fd, Region and Channel. The compiler says in a sentence why another type cannot be.
// The format, byte by byte, is docs/protocol/wire.md; a test fixes it.
//
// Threads: any, one at a time per object. Ownership: put() moves handles out of a value and leaves
// the rest as it is; what get() returns is the caller's. Nothing here blocks or talks to a peer.
// TRUST: get() believes nothing: what is wrong is `corrupt`, with what and where. The bytes must
// not change while they are read. From an untrusted peer no more memory is taken than 4 bytes for
// each byte that arrived and 1 MiB (`too_large`), whatever it claims. With untrusted peers prefer
// std::map to std::unordered_map: keys chosen to collide make the latter slow.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <bulkhead/bytes.hpp>
#include <bulkhead/detail/wire/judge.hpp>
#include <bulkhead/detail/wire/read.hpp>
#include <bulkhead/detail/wire/shape.hpp>
#include <bulkhead/detail/wire/write.hpp>
#include <bulkhead/handle.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/trust.hpp>

namespace bulkhead::wire {

/// Types that can be encoded.
template <class T>
concept Encodable = detail::VerdictOn<T>::problem == detail::Problem::none;

/// Whether an Encodable T can have handles in it, and so needs a channel that carries them.
template <Encodable T> inline constexpr bool carries_handles = detail::has_handles<T>();

/// How an Encodable T lies on the wire, as text: "{i32,str}". It never uses the compiler's
/// spelling, and types with one shape can be read as each other.
template <class T> constexpr std::string_view shape_text() {
  if constexpr (detail::explain<T>) {
    return {detail::shape_array<T>.data(), detail::shape_array<T>.size()};
  } else {
    return {};
  }
}
template <class T> constexpr std::string shape() { return std::string{shape_text<T>()}; }

/// FNV-1a of 64 bits: short names for shapes and methods. Not for secrets: collisions can be made.
constexpr std::uint64_t fingerprint(std::string_view text) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x00000100000001b3;
  return hash;
}

/// Appends encodings to a vector of bytes, behind what is there already.
class Encoder {
 public:
  /// `out` and `handles` are the caller's and must stay; without `handles` a value that holds one
  /// is `unsupported`. Handles are numbered from the size that the list has now.
  explicit Encoder(std::vector<std::byte>& out, std::vector<Handle>* handles = nullptr) noexcept
      : out_(out), writer_(out, handles) {}

  /// Appends `value`; its handles move to the list. Allocates at most once, in `out`. `too_large`
  /// for what is nested more than 64 structs deep, `unsupported` for a handle without a place or
  /// one that cannot travel, `invalid` for an empty handle. After an error `out` is as before, but
  /// handles may have moved already.
  template <class T> Result<void> put(T& value) {
    if constexpr (detail::explain<T>) {
      const std::size_t before = out_.size();
      writer_.begin(detail::measure(value, 0));
      const bool done = writer_.write(value);
      writer_.end();
      if (done) [[likely]] {
        return {};
      }
      out_.resize(before);
    }
    return fail(detail::describe(writer_.trouble(), "encode", cause()));
  }
  template <class T>
    requires(!std::is_lvalue_reference_v<T>)
  Result<void> put(T&& value) {
    return put<T>(value);
  }

 private:
  const Error* cause() const { return writer_.cause() ? &*writer_.cause() : nullptr; }

  std::vector<std::byte>& out_;
  detail::Writer writer_;
};

/// Takes values from bytes, in the order in which they were put.
class Decoder {
 public:
  /// `bytes` and `handles` are the caller's and must stay. Handles move out of the list into the
  /// values; `trust` is what is thought of who sent them.
  explicit Decoder(Bytes bytes, std::span<Handle> handles = {},
                   Trust trust = Trust::untrusted) noexcept
      : reader_(bytes, handles, trust) {}

  /// The next value. After an error the Decoder is of no further use; handles that it took are
  /// closed.
  template <class T> Result<T> get() {
    if constexpr (!detail::explain<T>) {
      return fail(error());
    } else if constexpr (detail::in_place<T> && std::is_move_assignable_v<T>) {
      Result<T> result;
      if (!reader_.read(*result)) [[unlikely]] {
        result = fail(error());
      }
      return result;
    } else {
      std::optional<T> slot;
      if (!reader_.fill(slot)) return fail(error());
      return std::move(*slot);
    }
  }

  /// Nothing is left, of bytes or of handles.
  bool at_end() const noexcept { return reader_.left() == 0 && reader_.handles_left() == 0; }

  /// `corrupt` when bytes or handles are left over.
  Result<void> finish() {
    if (at_end()) return {};
    if (reader_.left() > 0) {
      reader_.stop(detail::Fault::trailing_bytes, reader_.left());
    } else {
      reader_.stop(detail::Fault::trailing_handles, reader_.handles_left());
    }
    return fail(error());
  }

 private:
  Error error() const {
    return detail::describe(reader_.trouble(), "decode",
                            reader_.cause() ? &*reader_.cause() : nullptr);
  }

  detail::Reader reader_;
};

}  // namespace bulkhead::wire

namespace bulkhead {

/// The bytes of a value without handles.
template <class T> Result<std::vector<std::byte>> encode(const T& value) {
  static_assert(wire::detail::bytes_alone<T>(),
                "Bulkhead: handles do not fit into bytes; send the value over a Channel");
  std::vector<std::byte> bytes;
  if (auto done = wire::Encoder{bytes}.put(value); !done) return fail(std::move(done).error());
  return bytes;
}

/// The value whose encoding is `bytes`, all of them; as from an untrusted peer.
template <class T> Result<T> decode(Bytes bytes) {
  static_assert(wire::detail::bytes_alone<T>(),
                "Bulkhead: handles do not fit into bytes; send the value over a Channel");
  wire::Decoder decoder{bytes};
  Result<T> value = decoder.get<T>();
  if (value) {
    if (auto done = decoder.finish(); !done) value = fail(std::move(done).error());
  }
  return value;
}

}  // namespace bulkhead

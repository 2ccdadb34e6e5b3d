// SPDX-License-Identifier: Apache-2.0
//
// Fault: what went wrong in a codec, as numbers. The codecs stop at the first one and say false;
// the sentence is made only at the end, by one function that is not a template.
#pragma once

#include <cstddef>
#include <cstdint>

#include <bulkhead/detail/export.hpp>
#include <bulkhead/error.hpp>

namespace bulkhead::wire::detail {

enum class Fault : std::uint8_t {
  none,
  // of the reader
  truncated,         ///< `a` bytes needed, `b` left
  count,             ///< a count of `a`, room for `b` at most
  empty_elements,    ///< more than max_empty_elements; also of the writer
  boolean,           ///< a bool of value `a`
  tag,               ///< the tag of an optional or a result is `a`
  alternative,       ///< alternative `a` of a variant of `b`
  duplicate,         ///< a key or element twice
  too_deep,          ///< also of the writer
  memory,            ///< `a` bytes of memory asked for, `b` allowed
  error_kind,        ///< an Error of kind `a`
  error_category,    ///< an Error's code of category `a`
  handle_missing,    ///< handle number `a`, but only `b` came
  handle_order,      ///< handle number `a` where `b` is next
  handle_kind,       ///< handle number `a` is of another kind
  handle_refused,    ///< handle number `a`: from_handle failed
  trailing_bytes,    ///< `a` bytes left over
  trailing_handles,  ///< `a` handles left over
  // of the writer
  no_handles,       ///< a handle where only bytes can go
  empty_handle,     ///< a handle that holds nothing
  handle_unusable,  ///< into_handle failed
  valueless,        ///< a variant that an exception left without a value
};

struct Trouble {
  Fault fault = Fault::none;
  std::size_t offset = 0;
  std::uint64_t a = 0;
  std::uint64_t b = 0;
};

/// Untrusted messages may ask for this much memory for each of their bytes, and this much more.
inline constexpr std::uint64_t memory_per_byte = 4;
inline constexpr std::uint64_t memory_floor = 1024 * 1024;

/// "decode: offset 12: 9 bytes are needed, 4 are left". `cause` is an error below it, or null.
BULKHEAD_API Error describe(const Trouble& trouble, const char* operation, const Error* cause);

}  // namespace bulkhead::wire::detail

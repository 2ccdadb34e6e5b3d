// SPDX-License-Identifier: Apache-2.0
//
// Bytes: how untyped memory is named in every signature. A borrowed view; it owns nothing, and the
// caller keeps what it refers to alive for the length of the call.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace bulkhead {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

/// The bytes of `text`, without a terminating zero.
inline Bytes as_bytes(std::string_view text) noexcept {
  return std::as_bytes(std::span{text.data(), text.size()});
}

/// The bytes seen as characters; no encoding is checked.
inline std::string_view as_text(Bytes bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace bulkhead

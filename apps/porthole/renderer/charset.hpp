// SPDX-License-Identifier: Apache-2.0
//
// Character sets: what comes over the network as UTF-8.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace porthole {

struct ByteCharset {
  const char* name;
  std::array<std::uint16_t, 128> upper;
};
inline constexpr std::size_t byte_charset_count = 12;
extern const ByteCharset byte_charsets[byte_charset_count];

enum class TextKind : std::uint8_t { html, css, plain };

/// The bytes as valid UTF-8. The byte order mark decides, then `said` (of the response head), then
/// the document's own word (<meta charset>, @charset), then whether the bytes are valid UTF-8;
/// what is left is windows-1252. Characters that are none become U+FFFD.
std::string to_utf8(std::string_view bytes, std::string_view said, TextKind kind);

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
#include "renderer/charset.hpp"

#include <algorithm>
#include <cerrno>
#include <glib.h>
#include <iconv.h>
#include <optional>

namespace porthole {
namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd";
constexpr std::size_t meta_within = 1024;  // as the HTML standard has it

std::string lower_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '"' || c == '\'' || c == ' ') continue;
    out += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  return out;
}

/// As the WHATWG's encoding standard has it: what is called Latin-1 or ASCII is windows-1252.
std::string canonical(std::string_view said) {
  const std::string name = lower_name(said);
  for (const char* same :
       {"iso-8859-1", "iso8859-1", "latin1", "l1", "us-ascii", "ascii", "cp1252", "iso_8859-1"}) {
    if (name == same) return "windows-1252";
  }
  if (name == "utf8" || name == "unicode-1-1-utf-8") return "utf-8";
  if (name == "iso-8859-9" || name == "latin5") return "windows-1254";
  if (name == "latin2") return "iso-8859-2";
  if (name == "utf-16") return "utf-16le";
  return name;
}

void append(std::string& out, std::uint32_t code) {
  if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
    out += replacement;
    return;
  }
  char buffer[6];
  out.append(buffer, static_cast<std::size_t>(g_unichar_to_utf8(code, buffer)));
}

std::string valid_utf8(std::string_view bytes) {
  const auto length = static_cast<gssize>(bytes.size());
  if (bytes.find('\0') == bytes.npos && g_utf8_validate(bytes.data(), length, nullptr)) {
    return std::string{bytes};
  }
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const char* end = nullptr;
    g_utf8_validate(bytes.data(), static_cast<gssize>(bytes.size()), &end);
    const auto good = static_cast<std::size_t>(end - bytes.data());
    out += bytes.substr(0, good);
    bytes.remove_prefix(good);
    if (bytes.empty()) break;
    out += replacement;
    bytes.remove_prefix(1);
  }
  return out;
}

std::string from_bytes(std::string_view bytes, const ByteCharset& charset) {
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 8);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    append(out, byte < 128 ? byte : charset.upper[byte - 128U]);
  }
  return out;
}

std::string from_utf16(std::string_view bytes, bool big) {
  std::string out;
  const auto unit = [&](std::size_t at) -> std::uint32_t {
    const auto first = static_cast<unsigned char>(bytes[at]);
    const auto second = static_cast<unsigned char>(bytes[at + 1]);
    return big ? (std::uint32_t{first} << 8 | second) : (std::uint32_t{second} << 8 | first);
  };
  for (std::size_t at = 0; at + 1 < bytes.size(); at += 2) {
    std::uint32_t code = unit(at);
    if (code >= 0xd800 && code < 0xdc00 && at + 3 < bytes.size()) {
      const std::uint32_t low = unit(at + 2);
      if (low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        at += 2;
      }
    }
    append(out, code);
  }
  return out;
}

std::optional<std::string> by_iconv(std::string_view bytes, const std::string& name) {
  const iconv_t converter = iconv_open("UTF-8", name.c_str());
  if (converter == reinterpret_cast<iconv_t>(-1)) return {};
  std::string in{bytes};
  std::string out;
  char* from = in.data();
  std::size_t left = in.size();
  while (left > 0) {
    char buffer[4096];
    char* to = buffer;
    std::size_t room = sizeof buffer;
    const std::size_t outcome = iconv(converter, &from, &left, &to, &room);
    out.append(buffer, sizeof buffer - room);
    if (outcome != static_cast<std::size_t>(-1) || errno == E2BIG) continue;
    out += replacement;
    ++from;
    --left;
  }
  iconv_close(converter);
  return valid_utf8(out);
}

std::string_view value_after(std::string_view text, std::string_view key) {
  const auto at = text.find(key);
  if (at == text.npos) return {};
  std::string_view rest = text.substr(at + key.size());
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r\n=\"'"), rest.size()));
  return rest.substr(0, rest.find_first_of(" \t\r\n\"'>;/"));
}

/// What the document says of itself.
std::string own_word(std::string_view bytes, TextKind kind) {
  std::string start{bytes.substr(0, meta_within)};
  std::ranges::transform(start, start.begin(), g_ascii_tolower);
  if (kind == TextKind::css && start.starts_with("@charset")) {
    return std::string{value_after(start, "@charset")};
  }
  if (kind != TextKind::html) return {};
  const auto meta = start.find("<meta");
  if (meta == start.npos) return {};
  return std::string{value_after(std::string_view{start}.substr(meta), "charset")};
}

}  // namespace

std::string to_utf8(std::string_view bytes, std::string_view said, TextKind kind) {
  if (bytes.starts_with("\xef\xbb\xbf")) return valid_utf8(bytes.substr(3));
  if (bytes.starts_with("\xff\xfe")) return from_utf16(bytes.substr(2), false);
  if (bytes.starts_with("\xfe\xff")) return from_utf16(bytes.substr(2), true);
  std::string name = canonical(said);
  if (name == "utf-16le" || name == "utf-16be") return from_utf16(bytes, name == "utf-16be");
  if (name.empty()) {
    name = canonical(own_word(bytes, kind));
    if (name.starts_with("utf-16")) name = "utf-8";  // or we could not have read that word
  }
  if (name == "utf-8") return valid_utf8(bytes);
  for (const ByteCharset& charset : byte_charsets) {
    if (name == charset.name) return from_bytes(bytes, charset);
  }
  if (!name.empty()) {
    if (auto converted = by_iconv(bytes, name)) return *converted;
  }
  const bool is_utf8 =
      g_utf8_validate(bytes.data(), static_cast<gssize>(bytes.size()), nullptr) != FALSE;
  if (is_utf8) return std::string{bytes};
  for (const ByteCharset& charset : byte_charsets) {
    if (std::string_view{charset.name} == "windows-1252") return from_bytes(bytes, charset);
  }
  return valid_utf8(bytes);
}

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
#include "browser/chrome_text.hpp"

#include <algorithm>
#include <cstdint>
#include <glib.h>

namespace porthole {

namespace {

constexpr gunichar replacement = 0xfffd;

/// Would be drawn as nothing, or would reorder what stands beside it (Unicode's Bidi_Control).
bool is_hidden(gunichar c) {
  if (c == 0x200d || c == 0x200c) return false;  // joiners, which scripts need
  const GUnicodeType type = g_unichar_type(c);
  return type == G_UNICODE_CONTROL || type == G_UNICODE_FORMAT || type == G_UNICODE_SURROGATE ||
         type == G_UNICODE_UNASSIGNED || type == G_UNICODE_PRIVATE_USE;
}

bool is_space(gunichar c) {
  return g_unichar_isspace(c) || c == 0x85 || g_unichar_type(c) == G_UNICODE_LINE_SEPARATOR ||
         g_unichar_type(c) == G_UNICODE_PARAGRAPH_SEPARATOR;
}

/// The next character, which is taken off; what does not decode is one byte of replacement.
gunichar next_character(std::string_view& text) {
  const gunichar c = g_utf8_get_char_validated(
      text.data(), static_cast<gssize>(std::min<std::size_t>(text.size(), 6)));
  const bool valid = c != static_cast<gunichar>(-1) && c != static_cast<gunichar>(-2);
  text.remove_prefix(valid ? static_cast<std::size_t>(g_unichar_to_utf8(c, nullptr)) : 1);
  return valid ? c : replacement;
}

void append(std::string& to, gunichar c) {
  char bytes[6];
  to.append(bytes, static_cast<std::size_t>(g_unichar_to_utf8(c, bytes)));
}

}  // namespace

std::string one_line_of(std::string_view text, std::size_t longest) {
  text = text.substr(0, 8 * longest);  // bounds the work too, when nothing of it can be seen
  std::string line;
  std::size_t characters = 0;
  bool space = false;
  while (!text.empty()) {
    const gunichar c = text.front() == '\0' ? (text.remove_prefix(1), 0x20U) : next_character(text);
    if (is_space(c)) {
      space = characters > 0;
      continue;
    }
    if (is_hidden(c)) continue;
    if (characters + (space ? 1 : 0) + 1 > longest) return line + "\u2026";
    if (space) line += ' ';
    characters += space ? 2 : 1;
    space = false;
    append(line, c);
  }
  return line;
}

AddressParts split_address(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return {.before = {}, .host = {}, .after = url};
  const std::size_t start = scheme + 3;
  const std::size_t end = std::min(url.find_first_of("/?#\\", start), url.size());
  const std::string_view authority = url.substr(start, end - start);
  const std::size_t user = authority.rfind('@');
  const std::size_t host = start + (user == std::string_view::npos ? 0 : user + 1);
  const std::string_view named = url.substr(host, end - host);
  // The colon of a port; those of an IPv6 address stand in brackets.
  const std::size_t bracket = named.rfind(']');
  const std::size_t colon = named.find(':', bracket == std::string_view::npos ? 0 : bracket);
  const std::size_t length = std::min(colon, named.size());
  return {.before = url.substr(0, host),
          .host = named.substr(0, length),
          .after = url.substr(host + length)};
}

}  // namespace porthole

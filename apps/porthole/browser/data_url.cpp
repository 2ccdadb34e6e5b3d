// SPDX-License-Identifier: Apache-2.0
#include "browser/data_url.hpp"

#include <array>
#include <cstdint>
#include <optional>

namespace porthole {
namespace {

constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> base64_values = [] {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    values[static_cast<unsigned char>(alphabet[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}();

/// Blanks are left out, and so may be the padding.
std::optional<std::string> base64_decoded(std::string_view text) {
  std::string result;
  result.reserve(text.size() / 4 * 3);
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text.substr(0, text.find('='))) {
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') continue;
    const int value = base64_values[static_cast<unsigned char>(c)];
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    result += static_cast<char>(bits >> count & 0xff);
  }
  if (count == 6) return std::nullopt;  // one letter alone is no byte
  return result;
}

std::unexpected<bulkhead::Error> damaged(std::string cause) {
  return bulkhead::fail(bulkhead::ErrorKind::invalid,
                        {.operation = "load", .object = "a data: URL", .cause = std::move(cause)});
}

}  // namespace

bulkhead::Result<DataUrl> decode_data_url(const Url& url) {
  const auto comma = url.path.find(',');
  if (comma == std::string::npos) return damaged("it has no comma");
  std::string_view head = std::string_view{url.path}.substr(0, comma);
  std::string body = percent_decode(std::string_view{url.path}.substr(comma + 1));
  if (head.ends_with(";base64")) {
    head.remove_suffix(7);
    auto decoded = base64_decoded(body);
    if (!decoded) return damaged("its base64 is damaged");
    body = std::move(*decoded);
  }
  std::string type = percent_decode(head);
  if (type.empty())
    type = "text/plain;charset=us-ascii";
  else if (type.starts_with(';'))
    type.insert(0, "text/plain");
  return DataUrl{.content_type = std::move(type), .body = std::move(body)};
}

}  // namespace porthole

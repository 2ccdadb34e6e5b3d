// SPDX-License-Identifier: Apache-2.0
#include "browser/url.hpp"

#include <algorithm>
#include <array>
#include <curl/curl.h>
#include <curl/urlapi.h>
#include <locale.h>
#include <memory>
#include <utility>

#include "browser/site.hpp"

namespace porthole {
namespace {

using bulkhead::ErrorKind;
using bulkhead::Result;

constexpr std::string_view hex_digits = "0123456789ABCDEF";
constexpr std::array<std::string_view, 5> known_schemes{"http", "https", "file", "data", "about"};
constexpr std::size_t max_network_url = 64 << 10;

using Handle = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower_case(std::string_view text) {
  std::string result{text};
  std::ranges::transform(result, result.begin(), lower);
  return result;
}

/// Without blanks at its ends, and without line ends and tabs anywhere, as pages contain them.
std::string trimmed(std::string_view text) {
  constexpr std::string_view blanks{"\0\t\n\f\r ", 6};
  const auto first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  std::string result{text.substr(first, text.find_last_not_of(blanks) - first + 1)};
  std::erase_if(result, [](char c) { return c == '\t' || c == '\n' || c == '\r'; });
  return result;
}

bool may_stand_in_scheme(char c) {
  return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' ||
         c == '.';
}

/// What stands before the colon, in lower case; empty when `text` does not begin with a scheme.
std::string scheme_of(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) return {};
  const auto scheme = text.substr(0, colon);
  if (lower(scheme[0]) < 'a' || lower(scheme[0]) > 'z') return {};
  return std::ranges::all_of(scheme, may_stand_in_scheme) ? lower_case(scheme) : std::string{};
}

bool is_known(std::string_view scheme) {
  return std::ranges::find(known_schemes, scheme) != known_schemes.end();
}

/// Blanks, control characters, bytes of other scripts and what servers do not like to see.
bool needs_encoding(unsigned char c) {
  return c <= ' ' || c >= 0x7f || std::string_view{"\"<>`{}|\\^"}.contains(static_cast<char>(c));
}

void append_encoded(std::string& to, unsigned char c) {
  to += '%';
  to += hex_digits[c >> 4];
  to += hex_digits[c & 15];
}

std::string percent_encode(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (needs_encoding(byte))
      append_encoded(result, byte);
    else
      result += c;
  }
  return result;
}

/// Encodes what follows the host; the host itself has another way (punycode).
std::string encode_behind_host(std::string_view text) {
  const auto slashes = text.find("//");
  if (slashes == std::string_view::npos) return percent_encode(text);
  const auto end = std::min(text.find_first_of("/?#", slashes + 2), text.size());
  return std::string{text.substr(0, end)} + percent_encode(text.substr(end));
}

std::unexpected<bulkhead::Error> bad(ErrorKind kind, std::string_view text, std::string cause) {
  constexpr std::size_t shown = 200;
  std::string object{text.substr(0, shown)};
  if (text.size() > shown) object += "...";
  return bulkhead::fail(
      kind, {.operation = "open", .object = std::move(object), .cause = std::move(cause)});
}

std::string part(CURLU* handle, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(handle, which, &text, flags) != CURLUE_OK || !text) return {};
  std::string result{text};
  curl_free(text);
  return result;
}

bool has_part(CURLU* handle, CURLUPart which) {
  char* text = nullptr;
  const bool has = curl_url_get(handle, which, &text, 0) == CURLUE_OK;
  curl_free(text);
  return has;
}

Url opaque_url(std::string_view scheme, std::string_view rest) {
  Url url;
  url.scheme = scheme;
  const auto hash = rest.find('#');
  url.path = percent_encode(rest.substr(0, hash));
  url.text = url.scheme + ":" + url.path;
  if (hash != std::string_view::npos) {
    url.fragment = percent_encode(rest.substr(hash + 1));
    url.text += "#" + url.fragment;
  }
  return url;
}

/// libcurl takes the letters of other scripts as this thread's locale does: as UTF-8, then.
class Utf8Here {
 public:
  Utf8Here() : locale_(newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)), before_(uselocale(locale_)) {}
  Utf8Here(const Utf8Here&) = delete;
  Utf8Here& operator=(const Utf8Here&) = delete;
  ~Utf8Here() {
    uselocale(before_);
    if (locale_) freelocale(locale_);
  }

 private:
  locale_t locale_;
  locale_t before_;
};

std::string host_in_ascii(CURLU* handle) {
  std::string host = part(handle, CURLUPART_HOST);
  if (std::ranges::any_of(host, [](char c) { return static_cast<unsigned char>(c) >= 0x80; })) {
    const Utf8Here utf8;
    host = part(handle, CURLUPART_HOST, CURLU_PUNYCODE);
  }
  return lower_case(host);
}

std::string assembled(const Url& url, bool default_port, bool has_query, bool has_fragment) {
  const std::string host = url.host.contains(':') ? "[" + url.host + "]" : url.host;
  std::string text = url.scheme + "://" + host;
  if (!default_port && !url.port.empty()) text += ":" + url.port;
  text += url.path;
  if (has_query) text += "?" + url.query;
  if (has_fragment) text += "#" + url.fragment;
  return text;
}

Result<Url> taken_apart(CURLU* handle, std::string_view given) {
  if (has_part(handle, CURLUPART_USER) || has_part(handle, CURLUPART_PASSWORD)) {
    return bad(ErrorKind::invalid, part(handle, CURLUPART_HOST),
               "a URL with a name or password in it is not taken");
  }
  Url url;
  url.scheme = part(handle, CURLUPART_SCHEME);
  url.host = host_in_ascii(handle);
  if (url.host.starts_with('[')) url.host = url.host.substr(1, url.host.size() - 2);
  if (url.is_network() && url.host.empty()) {
    return bad(ErrorKind::invalid, given, "the host is missing or not valid");
  }
  if (url.is_file()) url.host.clear();
  url.path = part(handle, CURLUPART_PATH);
  if (url.path.empty()) url.path = "/";
  url.query = part(handle, CURLUPART_QUERY);
  url.fragment = part(handle, CURLUPART_FRAGMENT);
  const bool default_port = part(handle, CURLUPART_PORT, CURLU_NO_DEFAULT_PORT).empty();
  if (url.is_network()) url.port = part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  url.text = assembled(url, default_port, has_part(handle, CURLUPART_QUERY),
                       has_part(handle, CURLUPART_FRAGMENT));
  return url;
}

std::string cause_of(CURLUcode code) {
  switch (code) {
    case CURLUE_BAD_PORT_NUMBER:
      return "the port is not a number up to 65535";
    case CURLUE_NO_HOST:
    case CURLUE_BAD_HOSTNAME:
    case CURLUE_BAD_IPV6:
      return "the host is missing or not valid";
    case CURLUE_BAD_FILE_URL:
      return "files of other machines cannot be opened";
    default:
      return "this is not a valid URL";
  }
}

Result<Url> parsed_onto(Handle handle, std::string_view text) {
  if (text.size() > max_network_url) return bad(ErrorKind::too_large, text, "the URL is too long");
  if (text.contains('\0')) return bad(ErrorKind::invalid, text, "this is not a valid URL");
  const std::string encoded = encode_behind_host(text);
  const CURLUcode code = curl_url_set(handle.get(), CURLUPART_URL, encoded.c_str(), 0);
  if (code != CURLUE_OK) return bad(ErrorKind::invalid, text, cause_of(code));
  return taken_apart(handle.get(), text);
}

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

/// The host of what begins like "host:port/path".
std::string_view leading_host(std::string_view text) {
  if (text.starts_with('[')) return text.substr(0, text.find(']') + 1);
  return text.substr(0, text.find_first_of(":/?#"));
}

bool is_ip_address(std::string_view host) {
  return host.contains('.') && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

bool has_port(std::string_view input, std::string_view host) {
  const auto rest = input.substr(host.size());
  return rest.size() > 1 && rest[0] == ':' && rest[1] >= '0' && rest[1] <= '9';
}

bool is_this_machine(std::string_view host) {
  return host == "localhost" || host.ends_with(".localhost") || host.starts_with("127.") ||
         host == "[::1]";
}

}  // namespace

std::string Url::without_fragment() const { return text.substr(0, text.find('#')); }

std::string percent_decode(std::string_view text) {
  const auto digit = [](char c) {
    const auto at = hex_digits.find(c >= 'a' && c <= 'f' ? static_cast<char>(c - 32) : c);
    return at == std::string_view::npos ? -1 : static_cast<int>(at);
  };
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 &&
        digit(text[i + 2]) >= 0) {
      result += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

Result<Url> parse_url(std::string_view given) {
  const std::string text = trimmed(given);
  const std::string scheme = scheme_of(text);
  if (scheme.empty()) return bad(ErrorKind::invalid, text, "this is not a valid URL");
  if (!is_known(scheme)) {
    return bad(ErrorKind::unsupported, text, "Porthole does not know the scheme " + scheme + ":");
  }
  const auto rest = std::string_view{text}.substr(scheme.size() + 1);
  if (scheme == "data" || scheme == "about") return opaque_url(scheme, rest);
  Handle handle{curl_url(), &curl_url_cleanup};
  return parsed_onto(std::move(handle), scheme + ":" + std::string{rest});
}

Result<Url> resolve_url(const Url& base, std::string_view given) {
  const std::string reference = trimmed(given);
  if (!scheme_of(reference).empty()) return parse_url(reference);
  if (reference.empty()) return parse_url(base.without_fragment());
  // libcurl takes "#part" for the name of a file.
  if (reference.starts_with('#')) return parse_url(base.without_fragment() + reference);
  if (base.is_about() || base.is_data()) {
    return bad(ErrorKind::invalid, reference, "a relative URL means nothing in a page like this");
  }
  Handle handle{curl_url(), &curl_url_cleanup};
  const std::string from = base.without_fragment();
  if (const auto code = curl_url_set(handle.get(), CURLUPART_URL, from.c_str(), 0)) {
    return bad(ErrorKind::invalid, from, cause_of(code));
  }
  return parsed_onto(std::move(handle), reference);
}

Result<Url> url_from_input(std::string_view given, const std::filesystem::path& folder) {
  const std::string input = trimmed(given);
  if (input.empty()) return bad(ErrorKind::invalid, "URL", "it is empty");
  if (is_known(scheme_of(input)) || input.contains("://")) return parse_url(input);
  const auto path = (folder / input).lexically_normal();
  if (input.starts_with('/') || input.starts_with('.') || is_there(path)) return file_url(path);
  const auto host = leading_host(input);
  if (is_this_machine(host)) return parse_url("http://" + input);
  const bool is_host = has_known_suffix(host) || host.starts_with('[') || has_port(input, host) ||
                       is_ip_address(host);
  if (is_host) return parse_url("https://" + input);
  if (!scheme_of(input).empty()) return parse_url(input);
  return file_url(path);
}

Url file_url(const std::filesystem::path& absolute) {
  std::string path;
  for (const char c : absolute.lexically_normal().string()) {
    const auto byte = static_cast<unsigned char>(c);
    if (needs_encoding(byte) || c == '%' || c == '?' || c == '#')
      append_encoded(path, byte);
    else
      path += c;
  }
  return {.text = "file://" + path,
          .scheme = "file",
          .host = {},
          .port = {},
          .path = path,
          .query = {},
          .fragment = {}};
}

std::filesystem::path path_of(const Url& url) { return percent_decode(url.path); }

}  // namespace porthole

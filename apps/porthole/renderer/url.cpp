// SPDX-License-Identifier: Apache-2.0
#include "renderer/url.hpp"

#include <algorithm>
#include <optional>

namespace porthole {
namespace {

/// A URL in its parts; `has_` tells an empty part from none.
struct Parts {
  std::string_view scheme;
  std::string_view authority;
  std::string_view path;
  std::string_view query;
  bool has_authority = false;
  bool has_query = false;
};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view scheme_of(std::string_view url) {
  if (url.empty() || !is_letter(url[0])) return {};
  for (std::size_t i = 1; i < url.size(); ++i) {
    const char c = url[i];
    if (c == ':') return url.substr(0, i);
    if (!is_letter(c) && !is_digit(c) && c != '+' && c != '-' && c != '.') return {};
  }
  return {};
}

Parts split(std::string_view url) {
  Parts parts;
  parts.scheme = scheme_of(url);
  if (!parts.scheme.empty()) url.remove_prefix(parts.scheme.size() + 1);
  url = url.substr(0, url.find('#'));
  if (url.starts_with("//")) {
    url.remove_prefix(2);
    parts.has_authority = true;
    parts.authority = url.substr(0, url.find_first_of("/?"));
    url.remove_prefix(parts.authority.size());
  }
  if (const auto mark = url.find('?'); mark != url.npos) {
    parts.has_query = true;
    parts.query = url.substr(mark + 1);
    url = url.substr(0, mark);
  }
  parts.path = url;
  return parts;
}

/// RFC 3986 section 5.2.4.
std::string without_dots(std::string_view in) {
  std::string out;
  const auto cut = [&] { out.erase(std::min(out.rfind('/'), out.size())); };
  while (!in.empty()) {
    if (in.starts_with("../")) {
      in.remove_prefix(3);
    } else if (in.starts_with("./") || in.starts_with("/./")) {
      in.remove_prefix(2);
    } else if (in == "/.") {
      in = "/";
    } else if (in.starts_with("/../")) {
      in.remove_prefix(3);
      cut();
    } else if (in == "/..") {
      in = "/";
      cut();
    } else if (in == "." || in == "..") {
      in = {};
    } else {
      const auto end = in.find('/', 1);
      out += in.substr(0, end);
      in = end == in.npos ? std::string_view{} : in.substr(end);
    }
  }
  return out;
}

std::string merged(const Parts& base, std::string_view path) {
  if (base.has_authority && base.path.empty()) return "/" + std::string{path};
  const auto slash = base.path.rfind('/');
  return std::string{slash == base.path.npos ? "" : base.path.substr(0, slash + 1)} +
         std::string{path};
}

std::string tidy(std::string_view reference) {
  constexpr std::string_view space = " \t\r\n\f";
  const auto from = reference.find_first_not_of(space);
  if (from == reference.npos) return {};
  reference = reference.substr(from, reference.find_last_not_of(space) - from + 1);
  std::string out;
  for (const char c : reference) {
    if (c == '\t' || c == '\r' || c == '\n') continue;
    if (c == ' ') {
      out += "%20";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::string resolve_url(std::string_view base_url, std::string_view raw) {
  const std::string reference = tidy(raw);
  const std::string_view scheme = scheme_of(reference);
  // Absolute ones stay as they are written; "data:" must, as it is no path.
  if (!scheme.empty() && !std::string_view{reference}.substr(scheme.size() + 1).starts_with('/')) {
    return reference;
  }
  const Parts base = split(base_url);
  const Parts ref = split(reference);
  const auto hash = reference.find('#');
  Parts target = ref;
  std::string path = without_dots(ref.path);
  if (ref.scheme.empty()) {
    target.scheme = base.scheme;
    if (!ref.has_authority) {
      target.authority = base.authority;
      target.has_authority = base.has_authority;
      if (ref.path.empty()) {
        path = base.path;
        if (!ref.has_query) {
          target.query = base.query;
          target.has_query = base.has_query;
        }
      } else if (!ref.path.starts_with('/')) {
        path = without_dots(merged(base, ref.path));
      }
    }
  }
  std::string url;
  if (!target.scheme.empty()) url += std::string{target.scheme} + ":";
  if (target.has_authority) url += "//" + std::string{target.authority};
  url += path;
  if (target.has_query) url += "?" + std::string{target.query};
  if (hash != std::string::npos) url += reference.substr(hash);
  return url;
}

std::string fragment_of(std::string_view url) {
  const auto hash = url.find('#');
  if (hash == url.npos) return {};
  const std::string_view raw = url.substr(hash + 1);
  const auto digit = [](char c) -> int {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string out;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] == '%' && i + 2 < raw.size() && digit(raw[i + 1]) >= 0 && digit(raw[i + 2]) >= 0) {
      out += static_cast<char>(digit(raw[i + 1]) * 16 + digit(raw[i + 2]));
      i += 2;
    } else {
      out += raw[i];
    }
  }
  return out;
}

}  // namespace porthole

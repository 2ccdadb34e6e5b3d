// SPDX-License-Identifier: Apache-2.0
#include "renderer/style_scan.hpp"

#include <algorithm>
#include <cctype>

namespace porthole {
namespace {

constexpr std::string_view space = " \t\r\n\f";
/// A document that names more is not worth waiting for.
constexpr std::size_t max_sheets = 64;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool same(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

void skip_space(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(space), text.size()));
}

/// The few references that URLs in attributes are written with.
std::string unescaped(std::string_view value) {
  constexpr std::string_view reference = "&amp;";
  std::string out;
  for (std::size_t at; (at = value.find(reference)) != value.npos;) {
    out += value.substr(0, at + 1);
    value.remove_prefix(at + reference.size());
  }
  return out += value;
}

struct Attribute {
  std::string_view name;
  std::string_view value;
};

/// Takes the next attribute from the inside of a tag; false at its end.
bool next_attribute(std::string_view& tag, Attribute& found) {
  tag.remove_prefix(std::min(tag.find_first_not_of(" \t\r\n\f/"), tag.size()));
  if (tag.empty()) return false;
  found.name = tag.substr(0, tag.find_first_of("= \t\r\n\f/"));
  tag.remove_prefix(std::max<std::size_t>(found.name.size(), 1));
  found.value = {};
  skip_space(tag);
  if (!tag.starts_with('=')) return true;
  tag.remove_prefix(1);
  skip_space(tag);
  if (tag.starts_with('"') || tag.starts_with('\'')) {
    const char quote = tag[0];
    tag.remove_prefix(1);
    found.value = tag.substr(0, tag.find(quote));
    tag.remove_prefix(std::min(found.value.size() + 1, tag.size()));
  } else {
    found.value = tag.substr(0, tag.find_first_of(space));
    tag.remove_prefix(found.value.size());
  }
  return true;
}

/// The inside of the tag that begins at `at`, after its name; attributes may contain '>'.
std::string_view inside(std::string_view html, std::size_t at) {
  char quote = 0;
  for (std::size_t i = at; i < html.size(); ++i) {
    const char c = html[i];
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '>') {
      return html.substr(at, i - at);
    }
  }
  return {};
}

bool is_tag(std::string_view html, std::string_view name) {
  return html.size() > name.size() && same(html.substr(0, name.size()), name) &&
         space.find(html[name.size()]) != space.npos;
}

void read_link(std::string_view tag, StyleScan& scan) {
  Attribute attribute;
  std::string_view rel;
  std::string_view href;
  while (next_attribute(tag, attribute)) {
    if (same(attribute.name, "rel")) rel = attribute.value;
    if (same(attribute.name, "href")) href = attribute.value;
  }
  if (is_style_sheet(rel) && !href.empty() && scan.style_sheets.size() < max_sheets) {
    scan.style_sheets.push_back(unescaped(href));
  }
}

void read_base(std::string_view tag, StyleScan& scan) {
  Attribute attribute;
  while (next_attribute(tag, attribute)) {
    if (same(attribute.name, "href") && scan.base.empty()) scan.base = unescaped(attribute.value);
  }
}

}  // namespace

bool is_style_sheet(std::string_view rel) {
  bool is = false;
  for (skip_space(rel); !rel.empty(); skip_space(rel)) {
    const std::string_view word = rel.substr(0, rel.find_first_of(space));
    if (same(word, "alternate")) return false;
    is = is || same(word, "stylesheet");
    rel.remove_prefix(word.size());
  }
  return is;
}

StyleScan scan_html(std::string_view html) {
  StyleScan scan;
  for (std::size_t at = 0; (at = html.find('<', at)) != html.npos; ++at) {
    const std::string_view rest = html.substr(at + 1);
    if (rest.starts_with("!--")) {
      at = html.find("-->", at);
      if (at == html.npos) break;
    } else if (is_tag(rest, "link")) {
      read_link(inside(html, at + 5), scan);
    } else if (is_tag(rest, "base")) {
      read_base(inside(html, at + 5), scan);
    }
  }
  if (html.find("@import") != html.npos) {
    for (std::string& url : scan_imports(html)) scan.style_sheets.push_back(std::move(url));
  }
  return scan;
}

std::vector<std::string> scan_imports(std::string_view css) {
  constexpr std::string_view keyword = "@import";
  std::vector<std::string> urls;
  for (std::size_t at = 0; (at = css.find(keyword, at)) != css.npos && urls.size() < max_sheets;) {
    at += keyword.size();
    std::string_view rest = css.substr(at, css.substr(at).find(';'));
    skip_space(rest);
    if (rest.size() > 4 && same(rest.substr(0, 4), "url(")) {
      rest = rest.substr(4, rest.substr(4).find(')'));
      skip_space(rest);
    } else if (!rest.starts_with('"') && !rest.starts_with('\'')) {
      continue;
    }
    if (rest.starts_with('"') || rest.starts_with('\'')) {
      rest = rest.substr(1, rest.substr(1).find(rest[0]));
    }
    while (!rest.empty() && space.find(rest.back()) != space.npos) rest.remove_suffix(1);
    if (!rest.empty() && rest.size() < 4096) urls.emplace_back(rest);
  }
  return urls;
}

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
#include "browser/mime.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace porthole {
namespace {

using bulkhead::Bytes;
using Pair = std::pair<std::string_view, std::string_view>;

constexpr std::array<Pair, 24> by_ending{{
    {"html", "text/html"},        {"htm", "text/html"},       {"xhtml", "text/html"},
    {"css", "text/css"},          {"md", "text/markdown"},    {"markdown", "text/markdown"},
    {"txt", "text/plain"},        {"log", "text/plain"},      {"js", "text/javascript"},
    {"json", "application/json"}, {"xml", "application/xml"}, {"svg", "image/svg+xml"},
    {"png", "image/png"},         {"jpg", "image/jpeg"},      {"jpeg", "image/jpeg"},
    {"gif", "image/gif"},         {"webp", "image/webp"},     {"bmp", "image/bmp"},
    {"ico", "image/x-icon"},      {"pdf", "application/pdf"}, {"woff", "font/woff"},
    {"woff2", "font/woff2"},      {"zip", "application/zip"}, {"chaos", "application/x-chaos"},
}};

constexpr std::array<Pair, 7> by_signature{{
    {std::string_view{"\x89PNG\r\n\x1a\n", 8}, "image/png"},
    {"\xff\xd8\xff", "image/jpeg"},
    {"GIF87a", "image/gif"},
    {"GIF89a", "image/gif"},
    {"BM", "image/bmp"},
    {std::string_view{"\0\0\1\0", 4}, "image/x-icon"},
    {std::string_view{"\0\0\2\0", 4}, "image/x-icon"},
}};

/// How a document that says nothing of itself begins when it is HTML.
constexpr std::array<std::string_view, 17> html_beginnings{"<!doctype html",
                                                           "<html",
                                                           "<head",
                                                           "<script",
                                                           "<iframe",
                                                           "<h1",
                                                           "<div",
                                                           "<font",
                                                           "<table",
                                                           "<a",
                                                           "<style",
                                                           "<title",
                                                           "<b",
                                                           "<body",
                                                           "<br",
                                                           "<p",
                                                           "<!--"};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower_case(std::string_view text) {
  std::string result{text};
  std::ranges::transform(result, result.begin(), lower);
  return result;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n\f";
  const auto first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return c > ' ' && c < 0x7f && !std::string_view{"()<>@,;:\\\"/[]?="}.contains(c);
  });
}

std::string charset_parameter(std::string_view parameters) {
  while (!parameters.empty()) {
    const auto end = std::min(parameters.find(';'), parameters.size());
    const auto parameter = trimmed(parameters.substr(0, end));
    parameters.remove_prefix(std::min(end + 1, parameters.size()));
    const auto equals = parameter.find('=');
    if (equals == std::string_view::npos) continue;
    if (lower_case(parameter.substr(0, equals)) != "charset") continue;
    auto value = parameter.substr(equals + 1);
    if (value.size() >= 2 && value.starts_with('"') && value.ends_with('"')) {
      value = value.substr(1, value.size() - 2);
    }
    return is_token(value) ? lower_case(value) : std::string{};
  }
  return {};
}

std::string_view charset_of_mark(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) return "utf-8";
  if (text.starts_with("\xfe\xff")) return "utf-16be";
  if (text.starts_with("\xff\xfe")) return "utf-16le";
  return {};
}

bool begins_like_html(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  const std::string start = lower_case(trimmed(text).substr(0, 20));
  return std::ranges::any_of(html_beginnings, [&](std::string_view tag) {
    if (!start.starts_with(tag)) return false;
    if (tag == "<!--") return true;
    return start.size() == tag.size() || start[tag.size()] == ' ' || start[tag.size()] == '>';
  });
}

bool begins_like_svg(std::string_view text) {
  text = trimmed(text.starts_with("\xef\xbb\xbf") ? text.substr(3) : text);
  if (text.starts_with("<svg")) return true;
  return (text.starts_with("<?xml") || text.starts_with("<!--") || text.starts_with("<!DOCTYPE")) &&
         text.contains("<svg");
}

bool has_binary_bytes(std::string_view text) {
  return std::ranges::any_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != '\x1b';
  });
}

bool says_nothing(std::string_view type) {
  return type.empty() || type == "unknown/unknown" || type == "application/unknown" ||
         type == "*/*";
}

bool is_other_than_svg_picture(std::string_view type) {
  return type.starts_with("image/") && type != "image/svg+xml";
}

/// For bodies of which nothing was said.
std::string sniffed(Bytes first, LoadKind kind) {
  const auto text = bulkhead::as_text(first);
  if (auto picture = mime_of_picture(first); !picture.empty()) return picture;
  if (text.starts_with("%PDF-")) return "application/pdf";
  if (kind == LoadKind::image && begins_like_svg(text)) return "image/svg+xml";
  if (kind == LoadKind::style_sheet) return "text/css";
  if (kind == LoadKind::page && begins_like_html(text)) return "text/html";
  if (charset_of_mark(text).empty() && has_binary_bytes(text)) return "application/octet-stream";
  return "text/plain";
}

}  // namespace

ContentType parse_content_type(std::string_view header) {
  const auto semicolon = std::min(header.find(';'), header.size());
  const auto type = trimmed(header.substr(0, semicolon));
  const auto slash = type.find('/');
  if (slash == std::string_view::npos || !is_token(type.substr(0, slash)) ||
      !is_token(type.substr(slash + 1))) {
    return {};
  }
  const auto parameters = header.substr(std::min(semicolon + 1, header.size()));
  return {.mime_type = lower_case(type), .charset = charset_parameter(parameters)};
}

std::string mime_of_name(std::string_view name) {
  name = name.substr(name.rfind('/') + 1);
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  const std::string ending = lower_case(name.substr(dot + 1));
  const auto* found = std::ranges::find(by_ending, std::string_view{ending}, &Pair::first);
  return found == by_ending.end() ? std::string{} : std::string{found->second};
}

std::string mime_of_picture(Bytes first) {
  const auto text = bulkhead::as_text(first);
  for (const auto& [signature, type] : by_signature) {
    if (text.starts_with(signature)) return std::string{type};
  }
  if (text.starts_with("RIFF") && text.size() >= 14 && text.substr(8, 6) == "WEBPVP") {
    return "image/webp";
  }
  return {};
}

ContentType decide_type(const TypeEvidence& evidence) {
  ContentType type = parse_content_type(evidence.header);
  if (says_nothing(type.mime_type)) type.mime_type = mime_of_name(evidence.name);
  if (evidence.kind == LoadKind::image || is_other_than_svg_picture(type.mime_type)) {
    if (auto picture = mime_of_picture(evidence.first); !picture.empty()) type = {picture, {}};
  }
  if (type.mime_type.empty()) type.mime_type = sniffed(evidence.first, evidence.kind);
  if (type.mime_type == "application/xhtml+xml") type.mime_type = "text/html";
  const auto mark = charset_of_mark(bulkhead::as_text(evidence.first));
  if (!mark.empty() && !is_other_than_svg_picture(type.mime_type)) type.charset = mark;
  return type;
}

bool is_decided_by_header(std::string_view header, LoadKind kind) {
  const std::string type = parse_content_type(header).mime_type;
  // What has a charset of its own needs the byte order mark; a page can be told without it.
  return kind == LoadKind::page && !says_nothing(type) && !type.starts_with("image/");
}

}  // namespace porthole

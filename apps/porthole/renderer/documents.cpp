// SPDX-License-Identifier: Apache-2.0
#include "renderer/documents.hpp"

namespace porthole {
namespace {

constexpr std::string_view article_style =
    "body { font-family: sans-serif; max-width: 52em; margin: 24px auto; padding: 0 24px; "
    "line-height: 1.5; color: #1c1c1c } "
    "h1, h2 { border-bottom: 1px solid #ddd; padding-bottom: 4px } "
    "code { background-color: #f2f2f2; padding: 1px 4px } "
    "pre { background-color: #f2f2f2; padding: 12px; line-height: 1.3 } "
    "blockquote { border-left: 4px solid #ccc; margin-left: 0; padding-left: 16px; color: #555 } "
    "table { border-collapse: collapse } td, th { border: 1px solid #bbb; padding: 4px 10px }";

std::string_view last_name(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const auto slash = url.rfind('/');
  const std::string_view name = slash == url.npos ? url : url.substr(slash + 1);
  return name.empty() ? url : name;
}

std::string page(std::string_view title, std::string_view style, std::string_view body) {
  return "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>" + escape_html(title) +
         "</title><style>" + std::string{style} + "</style></head><body>" + std::string{body} +
         "</body></html>";
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 16);
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string page_of_text(std::string_view url, std::string_view text) {
  return page(last_name(url), "pre { white-space: pre-wrap; margin: 0 }",
              "<pre>" + escape_html(text) + "</pre>");
}

std::string page_of_picture(std::string_view url) {
  return page(last_name(url), "body { margin: 0; background-color: #26282b; text-align: center }",
              "<img src=\"" + escape_html(url) + "\" alt=\"" + escape_html(last_name(url)) + "\">");
}

std::string page_of_fragment(std::string_view url, std::string html) {
  const std::string_view start = std::string_view{html}.substr(0, 512);
  if (start.find("<html") != start.npos || start.find("<!DOCTYPE") != start.npos) return html;
  return page(last_name(url), article_style, html);
}

std::string page_of_reason(std::string_view url, std::string_view reason) {
  return page(last_name(url), article_style,
              "<h1>This cannot be shown</h1><p>" + escape_html(reason) + "</p><p><code>" +
                  escape_html(url) + "</code></p>");
}

}  // namespace porthole

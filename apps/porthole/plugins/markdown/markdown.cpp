// SPDX-License-Identifier: Apache-2.0
//
// The markdown plugin: a document in, a whole HTML page out, with md4c in GitHub's dialect. HTML in
// the document goes through: the page is no more trusted than if the server had sent HTML.
#include <md4c-html.h>

#include "plugin/adapter.hpp"

namespace porthole::markdown {
namespace {

using plugin::Measure;
using plugin::Refusal;

constexpr std::string_view style = R"(
body { font-family: sans-serif; line-height: 1.5; color: #1f2328; background-color: #ffffff;
       max-width: 56em; margin: 2em auto; padding: 0 1.5em; }
h1, h2 { border-bottom: 1px solid #d1d9e0; padding-bottom: 0.3em; }
h1, h2, h3, h4 { line-height: 1.25; margin: 1.4em 0 0.7em 0; }
code { font-family: monospace; background-color: #f0f1f3; padding: 0.1em 0.3em; }
pre { background-color: #f6f8fa; padding: 1em; font-size: 0.85em; line-height: 1.35; }
pre code { background-color: transparent; padding: 0; }
blockquote { margin: 1em 0; padding: 0 1em; color: #59636e; border-left: 4px solid #d1d9e0; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { border: 1px solid #d1d9e0; padding: 0.35em 0.8em; }
th { background-color: #f6f8fa; }
hr { border: 0; border-top: 1px solid #d1d9e0; }
img { max-width: 100%; }
a { color: #0969da; }
)";

/// What lies between two marks of it; empty when they are not there.
std::string_view between(std::string_view text, std::string_view first, std::string_view last) {
  const auto begin = text.find(first);
  if (begin == text.npos) return {};
  text.remove_prefix(begin + first.size());
  return text.substr(0, text.find(last));
}

/// The first heading without the tags in it. Characters stay escaped as they are.
std::string title_of(std::string_view html) {
  std::string title;
  bool in_tag = false;
  for (const char c : between(html, "<h1>", "</h1>")) {
    if (c == '<') in_tag = true;
    if (!in_tag) title += c == '\n' ? ' ' : c;
    if (c == '>') in_tag = false;
  }
  return title.empty() ? "Markdown" : title;
}

/// Appends, until there is too much of it. md4c is C: nothing may be thrown through it.
struct Output {
  std::string html{};
  std::uint64_t limit = 0;
  bool out_of_memory = false;
  bool too_large = false;

  void append(const char* text, MD_SIZE size) noexcept {
    too_large = too_large || html.size() + size > limit;
    if (too_large || out_of_memory) return;
    try {
      html.append(text, size);
    } catch (...) {
      out_of_memory = true;
    }
  }
};

std::string body_of(std::string_view text, std::uint64_t limit) {
  constexpr unsigned dialect = MD_DIALECT_GITHUB;
  Output output{.limit = limit};
  const int failed = md_html(
      text.data(), static_cast<MD_SIZE>(text.size()),
      [](const MD_CHAR* piece, MD_SIZE size, void* to) {
        static_cast<Output*>(to)->append(piece, size);
      },
      &output, dialect, MD_HTML_FLAG_SKIP_UTF8_BOM);
  if (output.too_large) throw Refusal{PORTHOLE_TOO_LARGE, "the document is too long"};
  if (failed != 0 || output.out_of_memory) throw std::bad_alloc{};
  return std::move(output.html);
}

class Page final : public plugin::Document {
 public:
  Measure measure(std::string_view, std::string_view bytes,
                  const porthole_request& request) override {
    // md4c takes zeros and broken UTF-8 as they come; what is no text at all is refused.
    if (bytes.substr(0, 1024).find('\0') != bytes.npos) {
      throw Refusal{PORTHOLE_INVALID, "the document is not text"};
    }
    if (bytes.size() > request.max_text_bytes) {
      throw Refusal{PORTHOLE_TOO_LARGE, "the document is too long"};
    }
    const std::string body = body_of(bytes, request.max_text_bytes / 2);
    html_ = "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>";
    html_ += title_of(body);
    html_ += "</title><style>";
    html_ += style;
    html_ += "</style></head>\n<body>\n";
    html_ += body;
    html_ += "</body></html>\n";
    return {.text_bytes = html_.size()};
  }

  void text(char* buffer) override { std::ranges::copy(html_, buffer); }

 private:
  std::string html_;
};

}  // namespace
}  // namespace porthole::markdown

PORTHOLE_PLUGIN("markdown", porthole::markdown::Page, "text/markdown", "text/x-markdown")

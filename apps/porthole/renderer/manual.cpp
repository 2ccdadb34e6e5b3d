// SPDX-License-Identifier: Apache-2.0
#include "renderer/manual.hpp"

#include <array>
#include <cstdint>
#include <string_view>

namespace porthole {
namespace {

constexpr std::string_view style = R"(
body { font-family: serif; color: #202020; background-color: #fcfcf8; margin: 0 auto; padding: 0 24px; width: 860px; }
h1, h2, h3 { font-family: sans-serif; color: #1f3a5f; }
h2 { border-bottom: 1px solid #c8d0dc; padding-bottom: 4px; margin-top: 40px; }
a { color: #1a5fb4; }
code { font-family: monospace; background-color: #eef0f3; padding: 0 3px; }
pre { background-color: #f1f3f6; border: 1px solid #d5dae2; border-radius: 6px; padding: 10px 14px; }
pre code { background-color: #f1f3f6; padding: 0; }
table { border-collapse: collapse; margin: 16px 0; }
th { background-color: #e4eaf2; text-align: left; }
td, th { border: 1px solid #b9c3d1; padding: 4px 10px; font-size: 14px; }
.note { border-left: 4px solid #d9a441; background-color: #fdf6e3; padding: 6px 14px; margin: 14px 0; }
.contents li { font-size: 14px; }
)";

constexpr std::array words = {
    "the",        "process",   "a",          "channel",   "of",       "message",  "and",
    "is",         "to",        "which",      "sandbox",   "renderer", "memory",   "when",
    "it",         "in",        "region",     "deadline",  "that",     "kernel",   "with",
    "descriptor", "for",       "closes",     "transport", "reads",    "not",      "on",
    "written",    "peer",      "by",         "error",     "handle",   "page",     "waits",
    "this",       "segment",   "published",  "from",      "each",     "byte",     "before",
    "after",      "published", "supervisor", "queue",     "at",       "listener", "until",
    "thread",     "as",        "sends",      "buffer",    "are",      "every",    "shared",
    "interface",  "function",  "its",        "result",    "layout",   "only",     "crashes",
    "restarted",  "limit",     "because",    "system",    "call",     "than",     "request",
    "version",    "one",       "reply",      "or",        "content",  "frozen",   "copies",
    "trust",      "reader",    "plugin",     "picture",   "network",  "file",     "no",
    "longer",     "between",   "checked",    "again",     "without",  "protocol", "ordered"};

/// A small generator of its own: the same page on every system.
class Writer {
 public:
  explicit Writer(std::size_t bytes) : bytes_(bytes) { out_.reserve(bytes + 8192); }

  std::string manual() && {
    out_ += "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>The manual</title><style>";
    out_ += style;
    out_ += "</style></head><body><h1>The manual</h1>";
    contents();
    for (int chapter = 1; out_.size() < bytes_; ++chapter) write_chapter(chapter);
    out_ += "</body></html>";
    return std::move(out_);
  }

 private:
  std::uint32_t number(std::uint32_t below) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::uint32_t>(state_ >> 33) % below;
  }
  std::string_view word() { return words[number(words.size())]; }

  void add_words(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      if (i > 0) out_ += ' ';
      const std::uint32_t kind = number(60);
      if (kind == 0) {
        out_ += "<code>" + std::string{word()} + "_" + std::string{word()} + "()</code>";
      } else if (kind == 1) {
        out_ +=
            "<a href=\"#c" + std::to_string(1 + number(20)) + "\">" + std::string{word()} + "</a>";
      } else if (kind == 2) {
        out_ += "<b>" + std::string{word()} + "</b>";
      } else if (kind == 3) {
        out_ += "<i>" + std::string{word()} + "</i>,";
      } else if (kind == 4) {
        out_ += std::to_string(number(5000));
      } else {
        out_ += word();
      }
    }
  }

  void element(std::string_view open, std::uint32_t count, std::string_view close) {
    out_ += open;
    add_words(count);
    out_ += close;
  }

  void contents() {
    out_ += "<ul class=\"contents\">";
    const std::size_t chapters = bytes_ / 12'000 + 1;
    for (std::size_t i = 1; i <= chapters; ++i) {
      out_ +=
          "<li><a href=\"#c" + std::to_string(i) + "\">Chapter " + std::to_string(i) + "</a></li>";
    }
    out_ += "</ul>";
  }

  void write_chapter(int chapter) {
    const std::string name = std::to_string(chapter);
    element("<h2 id=\"c" + name + "\">" + name + ". ", 4, "</h2>\n");
    for (int section = 1; section <= 4 && out_.size() < bytes_; ++section) {
      element("<h3>" + name + "." + std::to_string(section) + " ", 3, "</h3>\n");
      for (int i = 0; i < 3; ++i) element("<p>", 40 + number(50), ".</p>\n");
      switch (section) {
        case 1:
          code();
          break;
        case 2:
          list();
          break;
        case 3:
          table();
          break;
        default:
          element("<div class=\"note\">", 20, "</div>\n");
      }
    }
  }

  void code() {
    out_ += "<pre><code>";
    for (std::uint32_t i = 0; i < 8 + number(6); ++i) {
      out_ += "  auto " + std::string{word()} + " = " + std::string{word()} + "." +
              std::string{word()} + "(" + std::to_string(number(900)) + ");  // " +
              std::string{word()} + "\n";
    }
    out_ += "</code></pre>\n";
  }

  void list() {
    out_ += "<ul>";
    for (std::uint32_t i = 0; i < 4 + number(4); ++i) element("<li>", 8 + number(10), "</li>\n");
    out_ += "</ul>\n";
  }

  void table() {
    out_ += "<table><tr><th>Name</th><th>Value</th><th>Meaning</th></tr>\n";
    for (std::uint32_t i = 0; i < 5 + number(5); ++i) {
      out_ += "<tr><td><code>" + std::string{word()} + "</code></td><td>" +
              std::to_string(number(100'000)) + "</td>";
      element("<td>", 6 + number(8), "</td></tr>\n");
    }
    out_ += "</table>\n";
  }

  std::size_t bytes_;
  std::string out_;
  std::uint64_t state_ = 4711;
};

}  // namespace

std::string make_manual(std::size_t bytes) { return Writer{bytes}.manual(); }

}  // namespace porthole

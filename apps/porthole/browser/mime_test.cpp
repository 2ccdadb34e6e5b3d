// SPDX-License-Identifier: Apache-2.0
#include "browser/mime.hpp"

#include <gtest/gtest.h>

namespace porthole {
namespace {

using bulkhead::as_bytes;

std::string type_of(std::string_view header, std::string_view first, LoadKind kind,
                    std::string_view name = {}) {
  return decide_type({.header = header, .name = name, .first = as_bytes(first), .kind = kind})
      .mime_type;
}

TEST(mime, a_header_is_taken_apart) {
  EXPECT_EQ(parse_content_type("Text/HTML"), (ContentType{"text/html", ""}));
  EXPECT_EQ(parse_content_type(" text/html ; x=y; Charset = UTF-8"),
            (ContentType{"text/html", ""}));
  EXPECT_EQ(parse_content_type("text/html;charset=\"UTF-8\";x"),
            (ContentType{"text/html", "utf-8"}));
  EXPECT_EQ(parse_content_type("text/html; charset=<bad>"), (ContentType{"text/html", ""}));
  for (const auto* bad : {"", "html", "text/", "/html", "text/ht ml", ";charset=utf-8", "a,b/c"}) {
    EXPECT_EQ(parse_content_type(bad), ContentType{}) << bad;
  }
}

TEST(mime, pictures_go_by_their_signature) {
  EXPECT_EQ(mime_of_picture(as_bytes("\x89PNG\r\n\x1a\n")), "image/png");
  EXPECT_EQ(mime_of_picture(as_bytes("\xff\xd8\xff\xe0")), "image/jpeg");
  EXPECT_EQ(mime_of_picture(as_bytes("GIF89a")), "image/gif");
  EXPECT_EQ(mime_of_picture(as_bytes("RIFF____WEBPVP8 ")), "image/webp");
  EXPECT_EQ(mime_of_picture(as_bytes("RIFF____WAVEfmt ")), "");
  EXPECT_EQ(mime_of_picture({}), "");
  EXPECT_EQ(type_of("text/html", "GIF89a", LoadKind::image), "image/gif");
  EXPECT_EQ(type_of("image/png", "\xff\xd8\xff\xe0", LoadKind::page), "image/jpeg");
  EXPECT_EQ(type_of("image/svg+xml", "<svg/>", LoadKind::image), "image/svg+xml");
}

TEST(mime, nothing_that_was_declared_becomes_html) {
  constexpr std::string_view html = "<!DOCTYPE html><script>";
  for (const auto* header : {"text/plain", "application/octet-stream", "text/css", "image/png"}) {
    EXPECT_EQ(type_of(header, html, LoadKind::page), header);
  }
  EXPECT_EQ(type_of("", html, LoadKind::page), "text/html");
  EXPECT_EQ(type_of("unknown/unknown", html, LoadKind::page), "text/html");
  EXPECT_EQ(type_of("", html, LoadKind::image), "text/plain");
  EXPECT_EQ(type_of("", "p{}", LoadKind::style_sheet), "text/css");
}

TEST(mime, of_what_nothing_was_said_text_and_bytes_are_told_apart) {
  EXPECT_EQ(type_of("", "just text\n", LoadKind::page), "text/plain");
  EXPECT_EQ(type_of("", {"\0\1\2\3", 4}, LoadKind::page), "application/octet-stream");
  EXPECT_EQ(type_of("", "%PDF-1.7", LoadKind::page), "application/pdf");
  EXPECT_EQ(type_of("", "<pre>x", LoadKind::page), "text/plain");
  EXPECT_EQ(type_of("", "", LoadKind::page), "text/plain");
  EXPECT_EQ(type_of("", "<?xml version=\"1.0\"?><svg>", LoadKind::image), "image/svg+xml");
}

TEST(mime, names_count_for_files_and_a_byte_order_mark_for_all_text) {
  EXPECT_EQ(mime_of_name("/a.b/README"), "");
  EXPECT_EQ(mime_of_name("/x/INDEX.HTML"), "text/html");
  EXPECT_EQ(type_of("", "x", LoadKind::page, "/x/y.md"), "text/markdown");
  const auto marked = decide_type({.header = "text/html; charset=latin1",
                                   .first = as_bytes("\xef\xbb\xbfx"),
                                   .kind = LoadKind::page});
  EXPECT_EQ(marked, (ContentType{"text/html", "utf-8"}));
}

}  // namespace
}  // namespace porthole

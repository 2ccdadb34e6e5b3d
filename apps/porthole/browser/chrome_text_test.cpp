// SPDX-License-Identifier: Apache-2.0
#include "browser/chrome_text.hpp"

#include <gtest/gtest.h>

namespace {

using namespace porthole;

TEST(chrome_text, what_cannot_be_seen_is_left_out_and_spaces_are_joined) {
  EXPECT_EQ(one_line_of("  a\r\n\tb \u2028 c  "), "a b c");
  EXPECT_EQ(one_line_of("pay\u202Elap\u2066.\u200Bcom\x01\x7f"), "paylap.com");
  EXPECT_EQ(one_line_of(std::string_view("a\0b", 3)), "a b");
}

TEST(chrome_text, what_is_no_utf8_becomes_replacement_characters) {
  EXPECT_EQ(one_line_of("a\xff"
                        "b\xc3"),
            "a\uFFFDb\uFFFD");
  EXPECT_EQ(one_line_of("Grüße, 世界"), "Grüße, 世界");
}

TEST(chrome_text, a_long_text_is_cut_at_a_character_and_says_so) {
  EXPECT_EQ(one_line_of("äöüäöü", 3), "äöü\u2026");
  EXPECT_EQ(one_line_of("äöü", 3), "äöü");
  EXPECT_EQ(one_line_of("a b c", 3), "a b\u2026");
  EXPECT_LT(one_line_of(std::string(50'000'000, 'x')).size(), 600U);
}

TEST(chrome_text, the_host_of_an_address_is_what_is_connected_to) {
  const auto host = [](std::string_view url) { return std::string(split_address(url).host); };
  EXPECT_EQ(host("https://example.org/a/b?c"), "example.org");
  EXPECT_EQ(host("https://bank.example@evil.example:8080/"), "evil.example");
  EXPECT_EQ(host("https://bank.example:pass@word@evil.example"), "evil.example");
  EXPECT_EQ(host("http://[::1]:8080/"), "[::1]");
  EXPECT_EQ(host("https://evil.example?@bank.example/"), "evil.example");
  EXPECT_EQ(host("file:///usr/share/x.html"), "");
  EXPECT_EQ(host("about:sandbox"), "");
  EXPECT_EQ(host(""), "");
}

TEST(chrome_text, the_parts_of_an_address_join_to_the_whole) {
  for (const std::string url : {"https://u@h:1/p", "about:x", "file:///x", "http://", "://", ""}) {
    const AddressParts parts = split_address(url);
    EXPECT_EQ(std::string(parts.before) + std::string(parts.host) + std::string(parts.after), url);
  }
}

}  // namespace

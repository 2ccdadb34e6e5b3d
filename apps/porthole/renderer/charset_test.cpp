// SPDX-License-Identifier: Apache-2.0
#include "renderer/charset.hpp"

#include <gtest/gtest.h>

namespace porthole {
namespace {

using namespace std::string_view_literals;

TEST(charset, the_head_decides_before_the_document) {
  EXPECT_EQ(to_utf8("<meta charset=utf-8>\xe4", "ISO-8859-1", TextKind::html),
            "<meta charset=utf-8>ä");
  EXPECT_EQ(to_utf8("<meta name=a>\n<meta charset=\"windows-1251\" x=1>\xcf", "", TextKind::html),
            "<meta name=a>\n<meta charset=\"windows-1251\" x=1>П");
  EXPECT_EQ(
      to_utf8("<META http-equiv=x content='text/html; charset=koi8-r'>\xf0", "", TextKind::html),
      "<META http-equiv=x content='text/html; charset=koi8-r'>П");
  EXPECT_EQ(to_utf8("@charset \"iso-8859-2\";\xb1", "", TextKind::css),
            "@charset \"iso-8859-2\";ą");
}

TEST(charset, a_byte_order_mark_decides_before_all) {
  EXPECT_EQ(to_utf8("\xef\xbb\xbfä", "iso-8859-1", TextKind::html), "ä");
  EXPECT_EQ(to_utf8("\xff\xfe\x41\x00\x3d\xd8\x00\xde"sv, "", TextKind::html), "A😀");
  EXPECT_EQ(to_utf8("\xfe\xff\x00\x41\x20\xac"sv, "", TextKind::html), "A€");
}

TEST(charset, without_a_word_valid_utf8_is_utf8_and_the_rest_windows_1252) {
  EXPECT_EQ(to_utf8("ä€", "", TextKind::plain), "ä€");
  EXPECT_EQ(to_utf8("\xe4\x80", "", TextKind::plain), "ä€");
  EXPECT_EQ(to_utf8("\xe4", "no-such-charset", TextKind::plain), "ä");
}

TEST(charset, what_is_no_character_is_replaced) {
  EXPECT_EQ(to_utf8("a\xff\xc3(b", "utf-8", TextKind::plain), "a\xef\xbf\xbd\xef\xbf\xbd(b");
  EXPECT_EQ(to_utf8("a\0b"sv, "utf-8", TextKind::plain),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(to_utf8("\x00\xd8\x41\x00"sv, "utf-16le", TextKind::plain),
            "\xef\xbf\xbd"
            "A");
  EXPECT_EQ(to_utf8("", "utf-8", TextKind::plain), "");
}

}  // namespace
}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
#include "renderer/url.hpp"

#include <gtest/gtest.h>
#include <utility>

namespace porthole {
namespace {

TEST(url, references_are_resolved_as_the_standards_examples_say) {
  const std::pair<const char*, const char*> examples[] = {
      // RFC 3986 section 5.4
      {"g:h", "g:h"},
      {"g", "http://a/b/c/g"},
      {"./g", "http://a/b/c/g"},
      {"g/", "http://a/b/c/g/"},
      {"/g", "http://a/g"},
      {"//g", "http://g"},
      {"?y", "http://a/b/c/d;p?y"},
      {"g?y", "http://a/b/c/g?y"},
      {"#s", "http://a/b/c/d;p?q#s"},
      {"g#s", "http://a/b/c/g#s"},
      {";x", "http://a/b/c/;x"},
      {"", "http://a/b/c/d;p?q"},
      {".", "http://a/b/c/"},
      {"..", "http://a/b/"},
      {"../g", "http://a/b/g"},
      {"../..", "http://a/"},
      {"../../../g", "http://a/g"},
      {"/./g", "http://a/g"},
      {"g.", "http://a/b/c/g."},
      {"..g", "http://a/b/c/..g"},
      {"./g/.", "http://a/b/c/g/"},
      {"g/../h", "http://a/b/c/h"},
      {"g?y/../x", "http://a/b/c/g?y/../x"},
  };
  for (const auto& [reference, url] : examples) {
    EXPECT_EQ(resolve_url("http://a/b/c/d;p?q", reference), url) << reference;
  }
}

TEST(url, other_kinds_of_url_work_too) {
  EXPECT_EQ(resolve_url("file:///a/b.html", "c d.png"), "file:///a/c%20d.png");
  EXPECT_EQ(resolve_url("file:///a/b.html#x", "#y"), "file:///a/b.html#y");
  EXPECT_EQ(resolve_url("http://a", "b"), "http://a/b");
  EXPECT_EQ(resolve_url("http://a/", "data:image/png;base64,AA/../BB"),
            "data:image/png;base64,AA/../BB");
  EXPECT_EQ(resolve_url("http://a/", "  b\n"), "http://a/b");
  EXPECT_EQ(resolve_url("about:blank", "x"), "about:x");
  EXPECT_EQ(resolve_url("", ""), "");
}

TEST(url, fragments_are_unescaped) {
  EXPECT_EQ(fragment_of("http://a/#a%20b%zz"), "a b%zz");
  EXPECT_EQ(fragment_of("http://a/"), "");
}

}  // namespace
}  // namespace porthole

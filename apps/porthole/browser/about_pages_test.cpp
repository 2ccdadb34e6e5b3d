// SPDX-License-Identifier: Apache-2.0
#include "browser/about_pages.hpp"

#include <gtest/gtest.h>

namespace porthole {
namespace {

TEST(about_pages, there_are_those_that_are_listed) {
  EXPECT_EQ(*about_page("about:blank"), "");
  EXPECT_EQ(*about_page("about:crash"), "");
  EXPECT_TRUE(about_page("about:version")->contains("libcurl"));
  EXPECT_TRUE(about_page("about:about")->contains("about:sandbox"));
}

TEST(about_pages, another_is_an_error_that_says_where_to_look) {
  const auto page = about_page("about:nothing");
  EXPECT_EQ(page.error().kind(), bulkhead::ErrorKind::not_found);
  EXPECT_EQ(
      page.error().sentence(),
      "load about:nothing: Porthole has no such page; about:about lists those that there are");
}

TEST(about_pages, an_error_page_tells_the_cause_and_what_to_try) {
  const std::string page =
      error_page("http://x.invalid/", "load http://x.invalid/: no such host; see whether ...");
  EXPECT_TRUE(page.contains("<p>No such host; see whether ...</p>")) << page;
  EXPECT_TRUE(page.contains("Look at the name in the address"));
  EXPECT_TRUE(page.contains("http://x.invalid/"));
}

TEST(about_pages, what_comes_from_elsewhere_is_text_and_never_markup) {
  const std::string page = error_page("http://x/<script>\"&", "<img src=x>");
  EXPECT_FALSE(page.contains("<script>"));
  EXPECT_FALSE(page.contains("<img"));
  EXPECT_TRUE(page.contains("&lt;script&gt;&quot;&amp;"));
}

TEST(about_pages, the_task_manager_shows_every_process) {
  const std::string page = processes_page({{.kind = "browser", .pid = 10, .rss_kb = 5000},
                                           {.kind = "renderer",
                                            .pid = 11,
                                            .site = "http://a.test",
                                            .tab = TabId{3},
                                            .sandbox = {"seccomp", "namespaces"}},
                                           {.kind = "plugin", .pid = 12, .plugin = "image"}});
  for (const auto* text : {"<td>browser</td><td class=\"number\">10</td>", "http://a.test",
                           "seccomp, namespaces", "plugin (image)"}) {
    EXPECT_TRUE(page.contains(text)) << text;
  }
}

}  // namespace
}  // namespace porthole

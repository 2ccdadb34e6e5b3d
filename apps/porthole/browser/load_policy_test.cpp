// SPDX-License-Identifier: Apache-2.0
#include "browser/load_policy.hpp"

#include <gtest/gtest.h>

namespace porthole {
namespace {

bool loads(std::string_view page, std::string wanted, ResourceKind kind = ResourceKind::image) {
  return may_load(*parse_url(page), {.url = std::move(wanted), .kind = kind}).has_value();
}

bool leads(std::string_view page, std::string_view to) {
  return may_navigate(*parse_url(page), *parse_url(to)).has_value();
}

TEST(load_policy, a_page_from_the_network_gets_no_files) {
  for (const auto* page : {"http://a.test/", "https://a.test/", "data:text/html,x"}) {
    EXPECT_FALSE(loads(page, "file:///etc/passwd")) << page;
    EXPECT_FALSE(loads(page, "about:processes")) << page;
    EXPECT_FALSE(leads(page, "file:///etc/passwd")) << page;
    EXPECT_FALSE(leads(page, "about:crash")) << page;
    EXPECT_TRUE(leads(page, "http://b.test/")) << page;
    EXPECT_TRUE(loads(page, "data:image/png;base64,AA")) << page;
  }
}

TEST(load_policy, an_https_page_takes_nothing_by_http_that_could_change_it) {
  EXPECT_TRUE(loads("https://a.test/", "https://b.test/x.css", ResourceKind::style_sheet));
  EXPECT_FALSE(loads("https://a.test/", "http://a.test/x.css", ResourceKind::style_sheet));
  EXPECT_TRUE(loads("https://a.test/", "http://a.test/x.png", ResourceKind::image));
  EXPECT_TRUE(loads("http://a.test/", "http://b.test/x.css", ResourceKind::style_sheet));
}

TEST(load_policy, a_file_may_show_files_and_what_it_names_in_the_network) {
  EXPECT_TRUE(loads("file:///a.html", "file:///b.png"));
  EXPECT_TRUE(loads("file:///a.html", "https://b.test/x.png"));
  EXPECT_TRUE(leads("file:///a.html", "file:///b.html"));
  EXPECT_FALSE(leads("file:///a.html", "about:processes"));
}

TEST(load_policy, the_browsers_own_pages_load_nothing_but_lead_anywhere) {
  EXPECT_FALSE(loads("about:error", "http://a.test/x.png"));
  EXPECT_FALSE(loads("about:error", "file:///x.png"));
  EXPECT_TRUE(leads("about:version", "about:processes"));
  EXPECT_TRUE(leads("about:error", "file:///x.html"));
}

TEST(load_policy, what_is_refused_is_told) {
  const auto refused =
      may_load(*parse_url("http://a.test/"), {.url = "file:///x", .kind = ResourceKind::other});
  EXPECT_EQ(refused.error().sentence(), "load file:///x: a page from the network may not");
  EXPECT_EQ(refused.error().kind(), bulkhead::ErrorKind::denied);
  EXPECT_FALSE(loads("http://a.test/", "no url at all"));
}

}  // namespace
}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
#include "browser/url.hpp"

#include <fstream>
#include <gtest/gtest.h>

#include "browser/site.hpp"
#include "support/census.hpp"

namespace porthole {
namespace {

std::string normal(std::string_view text) {
  const auto url = parse_url(text);
  return url ? url->text : url.error().sentence();
}

std::string resolved(std::string_view base, std::string_view reference) {
  const auto url = resolve_url(*parse_url(base), reference);
  return url ? url->text : url.error().sentence();
}

std::string typed(std::string_view input, const std::filesystem::path& folder = "/nowhere") {
  const auto url = url_from_input(input, folder);
  return url ? url->text : url.error().sentence();
}

std::string site(std::string_view url) { return site_of(*parse_url(url)).name; }

TEST(url, a_url_is_brought_into_its_normal_form) {
  EXPECT_EQ(normal("http://example.org"), "http://example.org/");
  EXPECT_EQ(normal(" HTTP://Example.ORG:80/a/../b "), "http://example.org/b");
  EXPECT_EQ(normal("https://example.org:8443/a b?c d#e f"),
            "https://example.org:8443/a%20b?c%20d#e%20f");
  EXPECT_EQ(normal("http://[::1]:8080/"), "http://[::1]:8080/");
  EXPECT_EQ(normal("http://b\xc3\xbc"
                   "cher.example/\xc3\xa4"),
            "http://xn--bcher-kva.example/%C3%A4");
  EXPECT_EQ(normal("file:///a/./b/../c.html#x"), "file:///a/c.html#x");
  EXPECT_EQ(normal("file://localhost/a"), "file:///a");
  EXPECT_EQ(normal("about:blank"), "about:blank");
  EXPECT_EQ(normal("data:text/html,<b>x</b>#y"), "data:text/html,%3Cb%3Ex%3C/b%3E#y");
  EXPECT_EQ(normal("http://example.org/?"), "http://example.org/?");
}

TEST(url, a_normal_form_stays_as_it_is) {
  for (const auto* text : {"http://example.org/a%20b?c#d", "file:///a%23b", "about:blank",
                           "http://[::1]:8080/", "data:,x%20y", "https://a.b/?x=%7B"}) {
    EXPECT_EQ(normal(text), text);
  }
}

TEST(url, its_parts_are_told) {
  const auto url = *parse_url("https://Example.org/dir/page?q=1#top");
  EXPECT_EQ(url.scheme, "https");
  EXPECT_EQ(url.host, "example.org");
  EXPECT_EQ(url.port, "443");
  EXPECT_EQ(url.path, "/dir/page");
  EXPECT_EQ(url.query, "q=1");
  EXPECT_EQ(url.fragment, "top");
  EXPECT_EQ(url.without_fragment(), "https://example.org/dir/page?q=1");
  EXPECT_EQ(parse_url("http://[::1]/")->host, "::1");
}

TEST(url, what_cannot_be_a_url_is_told_in_a_sentence) {
  EXPECT_EQ(normal("http://example.org:99999/"),
            "open http://example.org:99999/: the port is not a number up to 65535");
  EXPECT_EQ(normal("http://"), "open http://: the host is missing or not valid");
  EXPECT_EQ(normal("gopher://x/"), "open gopher://x/: Porthole does not know the scheme gopher:");
  EXPECT_EQ(normal("http://me:secret@example.org/"),
            "open example.org: a URL with a name or password in it is not taken");
  EXPECT_FALSE(parse_url(""));
  EXPECT_FALSE(parse_url("no scheme"));
  EXPECT_FALSE(parse_url("file://elsewhere/x"));
  EXPECT_FALSE(parse_url(std::string_view{"http://a/\0b", 11}));
}

TEST(url, a_reference_is_understood_from_its_page) {
  constexpr auto base = "http://example.org/a/b.html?q=/x#f/g";
  EXPECT_EQ(resolved(base, "c.html"), "http://example.org/a/c.html");
  EXPECT_EQ(resolved(base, "../c d.png"), "http://example.org/c%20d.png");
  EXPECT_EQ(resolved(base, "/c"), "http://example.org/c");
  EXPECT_EQ(resolved(base, "//other.example/c"), "http://other.example/c");
  EXPECT_EQ(resolved(base, "?r"), "http://example.org/a/b.html?r");
  EXPECT_EQ(resolved(base, "#top"), "http://example.org/a/b.html?q=/x#top");
  EXPECT_EQ(resolved(base, ""), "http://example.org/a/b.html?q=/x");
  EXPECT_EQ(resolved(base, "https://x.example"), "https://x.example/");
  EXPECT_EQ(resolved(base, "x\n.css"), "http://example.org/a/x.css");
  EXPECT_EQ(resolved("file:///a/b.html", "c/d.png"), "file:///a/c/d.png");
  EXPECT_EQ(resolved("file:///a/b.html", "#x"), "file:///a/b.html#x");
  EXPECT_EQ(resolved("http://example.org", "a//b://c"), "http://example.org/a//b://c");
  EXPECT_FALSE(resolve_url(*parse_url("about:version"), "x.png"));
}

TEST(url, what_is_typed_becomes_a_url) {
  EXPECT_EQ(typed("example.org/x"), "https://example.org/x");
  EXPECT_EQ(typed("localhost:8080/x"), "http://localhost:8080/x");
  EXPECT_EQ(typed("127.0.0.1"), "http://127.0.0.1/");
  EXPECT_EQ(typed("http://a.test:81"), "http://a.test:81/");
  EXPECT_EQ(typed("about:blank"), "about:blank");
  EXPECT_EQ(typed("/a/b c.html"), "file:///a/b%20c.html");
  EXPECT_EQ(typed("../x#y.html"), "file:///x%23y.html");
  EXPECT_EQ(typed("docs/index.html"), "file:///nowhere/docs/index.html");
  EXPECT_EQ(typed("index.html"), "file:///nowhere/index.html");
  EXPECT_EQ(typed("mailto:me"), "open mailto:me: Porthole does not know the scheme mailto:");
}

TEST(url, a_file_that_exists_is_meant_before_a_host) {
  const auto folder = bulkhead::test::temporary_folder();
  std::ofstream{folder / "example.org"} << "x";
  EXPECT_EQ(typed("example.org", folder), file_url(folder / "example.org").text);
}

TEST(url, the_path_of_a_file_comes_back_whatever_its_name) {
  for (const auto* path : {"/a b/c#d?e%20f", "/\xc3\xa4", "/a\"b"}) {
    const Url url = file_url(path);
    EXPECT_EQ(path_of(url), path);
    EXPECT_EQ(normal(url.text), url.text);
  }
}

TEST(site, is_scheme_and_registrable_domain) {
  EXPECT_EQ(site("http://example.org/x"), "http://example.org");
  EXPECT_EQ(site("https://a.b.example.org:8443/"), "https://example.org");
  EXPECT_EQ(site("https://a.example.co.uk/"), "https://example.co.uk");
  EXPECT_EQ(site("https://me.github.io/"), "https://me.github.io");
  EXPECT_EQ(site("http://a.test:1234/"), "http://a.test");
  EXPECT_EQ(site("http://www.a.test/"), "http://a.test");
  EXPECT_EQ(site("http://localhost/"), "http://localhost");
  EXPECT_EQ(site("http://127.0.0.1:80/"), "http://127.0.0.1");
  EXPECT_EQ(site("http://[::1]/"), "http://[::1]");
  EXPECT_EQ(site("http://co.uk/"), "http://co.uk");
  EXPECT_EQ(site("file:///a"), "file:");
  EXPECT_EQ(site("about:version"), "");
}

TEST(site, a_process_is_shared_within_one_site_alone) {
  const auto of = [](std::string_view url) { return site_of(*parse_url(url)); };
  EXPECT_TRUE(may_share_process(of("http://a.example.org/"), of("http://b.example.org/")));
  EXPECT_FALSE(may_share_process(of("http://example.org/"), of("https://example.org/")));
  EXPECT_FALSE(may_share_process(of("file:///a"), of("http://example.org/")));
  EXPECT_FALSE(may_share_process(of("data:,a"), of("data:,a")));
  EXPECT_TRUE(may_share_process(of("about:blank"), of("http://example.org/")));
  EXPECT_FALSE(may_share_process(of("http://example.org/"), of("about:blank")));
}

}  // namespace
}  // namespace porthole

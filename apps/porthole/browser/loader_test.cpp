// SPDX-License-Identifier: Apache-2.0
#include "browser/loader.hpp"

#include <algorithm>
#include <asio/io_context.hpp>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "browser/url.hpp"
#include "support/census.hpp"
#include "support/watchdog.hpp"
#include "tests/loopback_server.hpp"

namespace porthole {
namespace {

using namespace std::chrono_literals;
using bulkhead::ErrorKind;
using test::LoopbackServer;
using test::redirect_to;
using test::Reply;

/// What one load told.
struct Told {
  std::vector<std::string> redirects;
  std::vector<ResourceHead> heads;
  std::optional<bulkhead::Result<Loaded>> result;

  std::string body() const {
    if (!result || !*result) return "no body";
    const auto& body = (*result)->body;
    return body ? std::string{bulkhead::as_text(body->bytes())} : std::string{};
  }
  std::string error() const {
    return result && !*result ? result->error().sentence() : std::string{"no error"};
  }
  const ResourceHead& head() const { return (*result)->head; }
};

LoadEvents told_to(Told& told) {
  return {.on_redirect = [&told](const std::string& url) { told.redirects.push_back(url); },
          .on_head =
              [&told](const ResourceHead& head) {
                told.heads.push_back(head);
                return Decision::go_on;
              },
          .done = [&told](auto result) { told.result.emplace(std::move(result)); }};
}

/// Loads one URL and returns what came.
Told load(std::string url, LoadKind kind = LoadKind::page, LoaderOptions options = {}) {
  const bulkhead::test::Waiting waiting{"a load"};
  asio::io_context loop{1};
  Loader loader{loop, std::move(options)};
  Told told;
  const auto load = loader.start(std::move(url), kind, told_to(told));
  while (!told.result && loop.run_one() != 0) {
  }
  EXPECT_TRUE(told.result);
  return told;
}

Told load_from(const LoopbackServer& server, std::string_view path, LoadKind kind = LoadKind::page,
               LoaderOptions options = {}) {
  options.resolve = server.resolve();
  return load(server.url(path), kind, std::move(options));
}

TEST(loader, a_page_comes_with_its_head_and_a_frozen_body) {
  LoopbackServer server;
  server.serve("/x", {.type = "Text/HTML; Charset=\"ISO-8859-1\"", .body = "<p>hello"});
  const Told told = load_from(server, "/x#part");
  ASSERT_TRUE(*told.result) << told.error();
  EXPECT_EQ(told.body(), "<p>hello");
  EXPECT_EQ((*told.result)->body->state(), bulkhead::Region::State::frozen);
  EXPECT_EQ(told.head().status, 200);
  EXPECT_EQ(told.head().url, server.url("/x#part"));
  EXPECT_EQ(told.head().mime_type, "text/html");
  EXPECT_EQ(told.head().charset, "iso-8859-1");
  EXPECT_EQ(told.heads.size(), 1U);
  EXPECT_EQ(server.requests(), std::vector<std::string>{"a.test /x"});
}

TEST(loader, an_empty_body_is_no_region) {
  LoopbackServer server;
  server.serve("/empty", {.body = ""});
  const Told told = load_from(server, "/empty");
  ASSERT_TRUE(*told.result) << told.error();
  EXPECT_FALSE((*told.result)->body);
}

TEST(loader, a_status_that_says_no_is_a_success_with_that_status) {
  LoopbackServer server;
  const Told told = load_from(server, "/nothing");
  ASSERT_TRUE(*told.result);
  EXPECT_EQ(told.head().status, 404);
  EXPECT_TRUE(told.body().contains("Nothing here"));
}

TEST(loader, a_large_body_arrives_whole) {
  LoopbackServer server;
  std::string body(5 << 20, 'x');
  for (std::size_t i = 0; i < body.size(); i += 1000) body[i] = static_cast<char>('a' + i % 26);
  server.serve("/large", {.type = "text/plain", .body = body});
  const Told told = load_from(server, "/large");
  EXPECT_TRUE(told.body() == body);
}

TEST(loader, a_body_in_chunks_and_compressed_is_put_together) {
  LoopbackServer server;
  server.serve("/chunks", {.raw = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                                  "Content-Type: text/plain\r\n\r\n"
                                  "5\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n"});
  EXPECT_EQ(load_from(server, "/chunks").body(), "hello world");
  const std::string gzip{
      "\x1f\x8b\x08\0\0\0\0\0\x02\x03\xcb\x48\xcd\xc9\xc9\x07\0\x86\xa6\x10\x36\x05\0\0\0", 25};
  server.serve("/gzip",
               {.type = "text/plain", .body = gzip, .headers = {"Content-Encoding: gzip"}});
  EXPECT_EQ(load_from(server, "/gzip").body(), "hello");
}

TEST(loader, redirects_are_followed_and_told) {
  LoopbackServer server;
  server.serve("/1", redirect_to("/2?x#own", 301));
  server.serve("/2?x", redirect_to(server.url("/dir/3", "b.test"), 307));
  server.serve("/dir/3", redirect_to("4", 303));
  server.serve("/dir/4", {.body = "there"});
  const Told told = load_from(server, "/1");
  ASSERT_TRUE(*told.result) << told.error();
  EXPECT_EQ(told.body(), "there");
  EXPECT_EQ(told.head().url, server.url("/dir/4#own", "b.test"));
  EXPECT_EQ(told.redirects,
            (std::vector<std::string>{server.url("/2?x#own"), server.url("/dir/3#own", "b.test"),
                                      server.url("/dir/4#own", "b.test")}));
  EXPECT_EQ(told.heads.size(), 1U);
  EXPECT_EQ(server.requests(), (std::vector<std::string>{"a.test /1", "a.test /2?x",
                                                         "b.test /dir/3", "b.test /dir/4"}));
}

TEST(loader, a_circle_of_redirects_ends_at_the_limit) {
  LoopbackServer server;
  server.serve("/a", redirect_to("/b"));
  server.serve("/b", redirect_to("/a"));
  const Told told = load_from(server, "/a", LoadKind::page, {.max_redirects = 5});
  EXPECT_EQ(told.redirects.size(), 5U);
  EXPECT_TRUE(told.error().contains("it was redirected 5 times and went on")) << told.error();
}

TEST(loader, no_server_may_lead_to_files_or_other_schemes) {
  LoopbackServer server;
  for (const auto* target : {"file:///etc/passwd", "about:processes", "data:text/html,x"}) {
    server.serve("/to", redirect_to(target));
    const Told told = load_from(server, "/to");
    ASSERT_FALSE(*told.result) << target;
    EXPECT_EQ(told.result->error().kind(), ErrorKind::denied);
    EXPECT_TRUE(told.redirects.empty());
  }
  server.serve("/to", redirect_to("gopher://x/"));
  EXPECT_EQ(load_from(server, "/to").result->error().kind(), ErrorKind::unsupported);
}

TEST(loader, a_host_that_does_not_exist_is_told) {
  const Told told = load("http://nobody.invalid/x");
  EXPECT_TRUE(told.error().starts_with("load http://nobody.invalid/x: no such host"))
      << told.error();
  EXPECT_EQ(told.result->error().kind(), ErrorKind::not_found);
}

TEST(loader, a_port_where_nobody_listens_is_told) {
  std::string url;
  {
    const LoopbackServer server;
    url = "http://127.0.0.1:" + std::to_string(server.port()) + "/";
  }
  EXPECT_TRUE(load(url).error().contains("nobody listens at 127.0.0.1 port")) << load(url).error();
}

TEST(loader, a_body_that_is_cut_short_is_told_with_both_lengths) {
  LoopbackServer server;
  server.serve("/cut", {.body = std::string(100, 'x'), .sent = 10, .then = Reply::Then::close});
  const Told told = load_from(server, "/cut");
  EXPECT_EQ(told.error(),
            "load " + server.url("/cut") + ": the server closed after 10 of 100 bytes");
  EXPECT_EQ(told.result->error().kind(), ErrorKind::closed);
}

TEST(loader, broken_answers_are_told) {
  LoopbackServer server;
  const auto error_of = [&](Reply reply) {
    server.serve("/broken", std::move(reply));
    const Told told = load_from(server, "/broken");
    return told.error().substr(std::min(told.error().size(), server.url("/broken").size() + 7));
  };
  EXPECT_EQ(error_of({.raw = "\r\n", .sent = 0, .then = Reply::Then::close}),
            "the server closed without an answer");
  EXPECT_EQ(error_of({.raw = "this is not HTTP\r\n\r\n", .then = Reply::Then::close}),
            "what the server answered is not HTTP");
  EXPECT_EQ(error_of({.body = "not gzip", .headers = {"Content-Encoding: gzip"}}),
            "the body's compression is damaged");
  EXPECT_EQ(error_of({.raw = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
                      .then = Reply::Then::close}),
            "the server closed in the middle of the body, after 3 bytes");
  EXPECT_EQ(error_of({.body = std::string(100, 'x'), .sent = 10, .then = Reply::Then::reset}),
            "the server broke the connection off");
  EXPECT_EQ(error_of({.raw = "HTTP/1.1 200 OK\r\nX: " + std::string(400'000, 'x'),
                      .then = Reply::Then::close}),
            "the head of the answer is too large");
}

TEST(loader, a_body_above_the_limit_is_refused_whether_announced_or_not) {
  LoopbackServer server;
  const LoaderOptions options{.max_body_bytes = 1000};
  server.serve("/said", {.body = "x", .announced = 5000, .then = Reply::Then::hold});
  EXPECT_TRUE(load_from(server, "/said", LoadKind::page, options)
                  .error()
                  .contains("its 5000 bytes are more than the 1000 that are loaded"));
  server.serve("/unsaid", {.raw = "HTTP/1.0 200 OK\r\n\r\n" + std::string(5000, 'x'),
                           .then = Reply::Then::close});
  const Told told = load_from(server, "/unsaid", LoadKind::page, options);
  EXPECT_TRUE(told.error().contains("the body is larger than the 1000 bytes")) << told.error();
  EXPECT_EQ(told.result->error().kind(), ErrorKind::too_large);
}

TEST(loader, a_server_that_falls_silent_is_given_up) {
  LoopbackServer server;
  server.serve("/silent", {.body = std::string(100, 'x'), .sent = 10, .then = Reply::Then::hold});
  const Told told = load_from(server, "/silent", LoadKind::page, {.silence_limit = 50ms});
  EXPECT_TRUE(told.error().contains("the server sent nothing for 50 ms")) << told.error();
  EXPECT_EQ(told.result->error().kind(), ErrorKind::timed_out);
}

TEST(loader, all_of_it_has_a_limit) {
  LoopbackServer server;
  server.serve("/slow", {.body = "x", .sent = 0, .then = Reply::Then::hold});
  const Told told = load_from(server, "/slow", LoadKind::page, {.total_limit = 50ms});
  EXPECT_EQ(told.result->error().kind(), ErrorKind::timed_out) << told.error();
}

TEST(loader, the_head_is_told_before_the_body_is_there) {
  LoopbackServer server;
  server.serve("/slow", {.body = "<p>slowly", .sent = 0, .then = Reply::Then::hold});
  asio::io_context loop{1};
  Loader loader{loop, {.resolve = server.resolve()}};
  Told told;
  LoadEvents events = told_to(told);
  events.on_head = [&](const ResourceHead& head) {
    told.heads.push_back(head);
    server.release();
    return Decision::go_on;
  };
  const auto load = loader.start(server.url("/slow"), LoadKind::page, std::move(events));
  while (!told.result) loop.run_one();
  EXPECT_EQ(told.heads.at(0).mime_type, "text/html");
  EXPECT_EQ(told.body(), "<p>slowly");
}

TEST(loader, nothing_comes_after_the_head_was_refused) {
  LoopbackServer server;
  server.serve("/x", {.body = "body"});
  asio::io_context loop{1};
  Loader loader{loop, {.resolve = server.resolve()}};
  bool refused = false;
  const auto load = loader.start(server.url("/x"), LoadKind::page,
                                 {.on_head =
                                      [&](const ResourceHead&) {
                                        refused = true;
                                        return Decision::stop;
                                      },
                                  .done = [](auto) { FAIL() << "it came all the same"; }});
  loop.run();
  EXPECT_TRUE(refused);
}

TEST(loader, a_load_may_be_dropped_in_each_of_its_events) {
  LoopbackServer server;
  server.serve("/from", redirect_to("/to"));
  server.serve("/to", {.body = "body"});
  for (const std::string_view at : {"redirect", "head", "done", "at once"}) {
    asio::io_context loop{1};
    Loader loader{loop, {.resolve = server.resolve()}};
    std::unique_ptr<Load> load;
    std::string told;
    const auto event = [&](std::string_view name) {
      told += name;
      if (name == at) load.reset();
      return Decision::go_on;
    };
    load = loader.start(server.url("/from"), LoadKind::page,
                        {.on_redirect = [&](const std::string&) { event("redirect"); },
                         .on_head = [&](const ResourceHead&) { return event("head"); },
                         .done = [&](auto) { event("done"); }});
    if (at == "at once") load.reset();
    loop.run();
    EXPECT_TRUE(told.ends_with(at) || (at == "at once" && told.empty())) << at << ": " << told;
  }
}

TEST(loader, the_loader_may_go_before_its_loads) {
  LoopbackServer server;
  server.serve("/held", {.body = "x", .sent = 0, .then = Reply::Then::hold});
  asio::io_context loop{1};
  std::unique_ptr<Load> over_http;
  std::unique_ptr<Load> of_file;
  bool gone = false;
  {
    Loader loader{loop, {.resolve = server.resolve()}};
    const LoadEvents events{.done = [&](auto) { EXPECT_FALSE(gone); }};
    over_http = loader.start(server.url("/held"), LoadKind::page, events);
    of_file = loader.start("file:///etc/passwd", LoadKind::page, events);
    loop.poll();
  }
  gone = true;
  loop.run();
}

TEST(loader, many_loads_go_on_at_once_and_share_connections) {
  LoopbackServer server;
  for (int i = 0; i < 40; ++i) {
    server.serve("/" + std::to_string(i), {.type = "text/plain", .body = std::to_string(i)});
  }
  asio::io_context loop{1};
  Loader loader{loop, {.resolve = server.resolve()}};
  std::vector<Told> told(40);
  std::vector<std::unique_ptr<Load>> loads;
  for (std::size_t i = 0; i < told.size(); ++i) {
    loads.push_back(
        loader.start(server.url("/" + std::to_string(i)), LoadKind::other, told_to(told[i])));
  }
  while (!std::ranges::all_of(told, [](const Told& one) { return one.result.has_value(); })) {
    loop.run_one();
  }
  for (std::size_t i = 0; i < told.size(); ++i) EXPECT_EQ(told[i].body(), std::to_string(i));
  EXPECT_LE(server.connections(), 6U);
}

TEST(loader, cookies_are_sent_back_to_who_set_them_alone) {
  LoopbackServer server;
  server.serve("/set", {.headers = {"Set-Cookie: name=value; Path=/"}});
  server.serve("/ask", [](const test::Request& request) {
    return Reply{.type = "text/plain", .body = request.head};
  });
  asio::io_context loop{1};
  Loader loader{loop, {.resolve = server.resolve()}};
  const auto get = [&](std::string_view path, std::string_view host) {
    Told told;
    const auto load = loader.start(server.url(path, host), LoadKind::other, told_to(told));
    while (!told.result) loop.run_one();
    return told.body();
  };
  get("/set", "a.test");
  EXPECT_TRUE(get("/ask", "a.test").contains("Cookie: name=value"));
  EXPECT_FALSE(get("/ask", "b.test").contains("Cookie:"));
}

TEST(loader, wrong_types_are_seen_through_for_pictures_alone) {
  LoopbackServer server;
  const std::string png{"\x89PNG\r\n\x1a\n and more", 17};
  server.serve("/png", {.type = "text/html", .body = png});
  EXPECT_EQ(load_from(server, "/png", LoadKind::image).head().mime_type, "image/png");
  server.serve("/html", {.type = "text/plain", .body = "<!DOCTYPE html><p>x"});
  EXPECT_EQ(load_from(server, "/html").head().mime_type, "text/plain");
  server.serve("/nothing", {.type = "", .body = "<!DOCTYPE html><p>x"});
  EXPECT_EQ(load_from(server, "/nothing").head().mime_type, "text/html");
}

TEST(loader, what_is_offered_for_saving_is_refused_as_a_page) {
  LoopbackServer server;
  server.serve("/file", {.body = "x", .headers = {"Content-Disposition: attachment"}});
  EXPECT_EQ(load_from(server, "/file").result->error().kind(), ErrorKind::unsupported);
}

// Files.

class LoaderFiles : public testing::Test {
 protected:
  std::string url(std::string_view name) { return file_url(folder_ / name).text; }
  void write(std::string_view name, std::string_view text) {
    std::ofstream{folder_ / name} << text;
  }
  std::filesystem::path folder_ = bulkhead::test::temporary_folder();
};

TEST_F(LoaderFiles, a_file_is_read) {
  write("a b.html", "<p>file");
  const Told told = load(url("a b.html") + "#x");
  EXPECT_EQ(told.body(), "<p>file");
  EXPECT_EQ(told.head().mime_type, "text/html");
  EXPECT_EQ(told.head().status, 200);
  EXPECT_EQ(told.head().url, url("a b.html") + "#x");
  EXPECT_EQ((*told.result)->body->state(), bulkhead::Region::State::frozen);
}

TEST_F(LoaderFiles, its_type_comes_from_its_name_or_first_bytes) {
  for (const auto& [name, text, type] :
       {std::array{"x.md", "# x", "text/markdown"}, std::array{"x.css", "p{}", "text/css"},
        std::array{"README", "plain", "text/plain"}, std::array{"page", "<html>", "text/html"},
        std::array{"x.png", "\xff\xd8\xff\xe0", "image/jpeg"},
        std::array{"x.svg", "<svg/>", "image/svg+xml"}}) {
    write(name, text);
    EXPECT_EQ(load(url(name)).head().mime_type, type) << name;
  }
}

TEST_F(LoaderFiles, a_folder_is_a_page_that_lists_it) {
  write("b & c.html", "x");
  std::filesystem::create_directory(folder_ / "inside");
  const Told told = load(url("."));
  EXPECT_TRUE(told.head().url.ends_with("/")) << told.head().url;
  EXPECT_EQ(told.head().mime_type, "text/html");
  EXPECT_TRUE(told.body().contains("<a href=\"./inside/\">inside/</a>")) << told.body();
  EXPECT_TRUE(told.body().contains("<a href=\"./b%20&amp;%20c.html\">b &amp; c.html</a>"));
}

TEST_F(LoaderFiles, what_cannot_be_read_is_told) {
  EXPECT_EQ(load(url("none")).error(), "load " + url("none") + ": there is no such file");
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(load(url("pipe")).error(), "load " + url("pipe") + ": it is not a file");
  EXPECT_EQ(load("file:///dev/zero").error(), "load file:///dev/zero: it is not a file");
  EXPECT_EQ(load(url("."), LoadKind::image).result->error().kind(), ErrorKind::unsupported);
  write("large", std::string(100, 'x'));
  EXPECT_EQ(load(url("large"), LoadKind::page, {.max_body_bytes = 99}).result->error().kind(),
            ErrorKind::too_large);
  EXPECT_EQ(load(url("x%00y")).result->error().kind(), ErrorKind::not_found);
  EXPECT_EQ(load("file:///x%00y").result->error().kind(), ErrorKind::invalid);
  write("empty.html", "");
  EXPECT_FALSE((*load(url("empty.html")).result)->body);
}

// data: and about:

TEST(loader, data_urls_are_decoded) {
  EXPECT_EQ(load("data:,a%20b#c").body(), "a b");
  EXPECT_EQ(load("data:,x").head().mime_type, "text/plain");
  EXPECT_EQ(load("data:,x").head().charset, "us-ascii");
  const Told told = load("data:text/html;charset=utf-8;base64,PGI+eDwvYj4=");
  EXPECT_EQ(told.body(), "<b>x</b>");
  EXPECT_EQ(told.head().mime_type, "text/html");
  EXPECT_EQ(load("data:image/png;base64,iVBORw0KGgo", LoadKind::image).head().mime_type,
            "image/png");
  EXPECT_EQ(load("data:;base64,%%%").error(), "load data:;base64,%%%: its base64 is damaged");
  EXPECT_EQ(load("data:nothing").result->error().kind(), ErrorKind::invalid);
}

TEST(loader, about_pages_come_from_who_gives_them) {
  const LoaderOptions options{.about = [](const std::string& url) -> bulkhead::Result<std::string> {
    if (url == "about:blank") return std::string{};
    if (url == "about:me") return "<p>me";
    return bulkhead::fail(ErrorKind::not_found, {.cause = "there is no such page"});
  }};
  EXPECT_EQ(load("about:me#x", LoadKind::page, options).body(), "<p>me");
  EXPECT_FALSE((*load("about:blank", LoadKind::page, options).result)->body);
  EXPECT_EQ(load("about:none", LoadKind::page, options).error(),
            "load about:none: there is no such page");
}

TEST(loader, schemes_that_nobody_knows_and_damaged_urls_are_told) {
  EXPECT_EQ(load("gopher://x/").result->error().kind(), ErrorKind::unsupported);
  EXPECT_EQ(load("http://a:b:c/").result->error().kind(), ErrorKind::invalid);
  EXPECT_EQ(load("").result->error().kind(), ErrorKind::invalid);
}

}  // namespace
}  // namespace porthole

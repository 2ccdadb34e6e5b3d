// SPDX-License-Identifier: Apache-2.0
//
// The renderer's role, in a process of its own under its own sandbox.
#include <algorithm>
#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "renderer/fake_browser.hpp"
#include "renderer/manual.hpp"

namespace porthole::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint32_t red = 0xffff0000;
constexpr std::uint32_t green = 0xff008000;
constexpr std::uint32_t blue = 0xff0000ff;
constexpr std::uint32_t white = 0xffffffff;

TEST(renderer, a_page_is_painted_into_its_own_tiles_under_the_sandbox) {
  FakeBrowser browser;
  browser.show("http://a.test/",
               "<title>Hello</title><body style='margin:0'><div style='background:red;width:300px;"
               "height:100px'></div><p id=text style='margin:20px 0'>Some words</p>");
  browser.run_until_complete();
  EXPECT_TRUE(browser.process().sandbox_report().locked);
  EXPECT_THAT(browser.commits, ElementsAre("Hello"));
  EXPECT_EQ(browser.content, (Size{.width = 600, .height = 400}));
  EXPECT_TRUE(browser.gpu().sent_region_read_only);
  EXPECT_EQ(browser.gpu().pixel({.x = 10, .y = 10}), red);
  EXPECT_EQ(browser.gpu().pixel({.x = 299, .y = 99}), red);  // in the next tile
  EXPECT_EQ(browser.gpu().pixel({.x = 300, .y = 99}), white);
  const Rect words{.x = 0, .y = 115, .width = 200, .height = 30};
  EXPECT_LT(browser.gpu().count(words, white), 200 * 30 - 100);
  EXPECT_THAT(browser.reports, IsEmpty());
}

TEST(renderer, a_ping_is_answered) {
  FakeBrowser browser;
  browser.frame().async_ping(17, browser.token());
  browser.run_until("a pong", [&] { return !browser.pongs.empty(); });
  EXPECT_THAT(browser.pongs, ElementsAre(17));
}

TEST(renderer, style_sheets_come_before_the_first_paint) {
  FakeBrowser browser;
  browser.resources["http://a.test/s/one.css"] = {.mime_type = "text/css",
                                                  .body = "@import 'two.css'; p { color: red }"};
  browser.resources["http://a.test/s/two.css"] = {.mime_type = "text/css",
                                                  .body = "body { background: #008000 }"};
  browser.show("http://a.test/", "<link rel=stylesheet href=s/one.css><p>x");
  browser.run_until_complete();
  EXPECT_THAT(browser.asked, ElementsAre("http://a.test/s/one.css", "http://a.test/s/two.css"));
  EXPECT_EQ(browser.paints, 1);
  EXPECT_EQ(browser.gpu().pixel({.x = 500, .y = 300}), green);
}

TEST(renderer, a_picture_that_comes_late_moves_what_is_below) {
  FakeBrowser browser;
  browser.resources["http://a.test/p.png"] = {.mime_type = "image/png", .body = "bytes"};
  browser.held = {"http://a.test/p.png"};
  browser.plugins["image/png"] = [](const std::string& bytes) {
    EXPECT_EQ(bytes, "bytes");
    return plain_picture({.width = 50, .height = 200}, blue);
  };
  browser.show("http://a.test/",
               "<body style='margin:0'><img src=p.png style='display:block'><div "
               "style='background:red;height:20px'></div>");
  browser.run_until("a first paint", [&] { return browser.painted > 0; });
  browser.run_until("its pixels", [&] { return browser.gpu().last.frame >= browser.painted; });
  EXPECT_FALSE(browser.is_complete);
  EXPECT_EQ(browser.gpu().pixel({.x = 5, .y = 10}), red);
  browser.release_held();
  browser.run_until_complete();
  EXPECT_EQ(browser.gpu().pixel({.x = 5, .y = 10}), blue);
  EXPECT_EQ(browser.gpu().pixel({.x = 5, .y = 210}), red);
}

TEST(renderer, one_channel_serves_all_pictures_of_a_type) {
  FakeBrowser browser;
  browser.plugins["image/png"] = [](const std::string&) {
    return plain_picture({.width = 10, .height = 10}, blue);
  };
  std::string html = "<body>";
  for (int i = 0; i < 20; ++i) {
    const std::string name = std::to_string(i) + ".png";
    browser.resources["http://a.test/" + name] = {.mime_type = "image/png", .body = "x"};
    html += "<img src=" + name + ">";
  }
  browser.show("http://a.test/", html);
  browser.run_until_complete();
  EXPECT_EQ(browser.acquired, 1);
  EXPECT_EQ(browser.gpu().count({.x = 0, .y = 0, .width = 600, .height = 60}, blue), 20 * 100);
}

TEST(renderer, a_page_may_have_more_pictures_than_a_process_descriptors) {
  FakeBrowser browser;
  constexpr int many = 1500;
  browser.plugins["image/png"] = [](const std::string&) {
    return plain_picture({.width = 1, .height = 1}, blue);
  };
  std::string html = "<body style='margin:0'>";
  for (int i = 0; i < many; ++i) {
    const std::string name = std::to_string(i) + ".png";
    browser.resources["http://a.test/" + name] = {.mime_type = "image/png", .body = "x"};
    html += "<img src=" + name + " style='float:left'>";
  }
  browser.show("http://a.test/", html);
  browser.run_until_complete();
  EXPECT_EQ(browser.gpu().count({.x = 0, .y = 0, .width = 600, .height = 4}, blue), many);
  EXPECT_THAT(browser.reports, IsEmpty());
}

TEST(renderer, a_plugin_that_dies_is_replaced_once_in_silence) {
  FakeBrowser browser;
  browser.resources["http://a.test/p.png"] = {.mime_type = "image/png", .body = "x"};
  browser.plugins["image/png"] = [](const std::string&) {
    return plain_picture({.width = 10, .height = 10}, blue);
  };
  browser.plugins_to_kill = 1;
  browser.show("http://a.test/", "<body style='margin:0'><img src=p.png style='display:block'>");
  browser.run_until_complete();
  EXPECT_EQ(browser.acquired, 2);
  EXPECT_THAT(browser.reports, IsEmpty());
  EXPECT_EQ(browser.gpu().pixel({.x = 5, .y = 5}), blue);
}

TEST(renderer, a_plugin_that_dies_twice_leaves_a_placeholder_and_a_reason) {
  FakeBrowser browser;
  browser.resources["http://a.test/p.png"] = {.mime_type = "image/png", .body = "x"};
  browser.plugins["image/png"] = [](const std::string&) {
    return plain_picture({.width = 10, .height = 10}, blue);
  };
  browser.plugins_to_kill = 2;
  browser.show("http://a.test/",
               "<body style='margin:0'><img src=p.png width=50 height=50 style='display:block'>");
  browser.run_until_complete();
  EXPECT_EQ(browser.acquired, 2);
  EXPECT_THAT(browser.reports, ElementsAre(HasSubstr("http://a.test/p.png: the plugin")));
  EXPECT_EQ(browser.gpu().pixel({.x = 25, .y = 25}), 0xfff0f0f0);
}

TEST(renderer, pictures_of_impossible_sizes_are_refused) {
  FakeBrowser browser;
  browser.resources["http://a.test/p.png"] = {.mime_type = "image/png", .body = "x"};
  browser.plugins["image/png"] = [](const std::string&) {
    PluginOutput output = plain_picture({.width = 10, .height = 10}, blue);
    output.size = {.width = 4000, .height = 4000};
    return output;
  };
  browser.show("http://a.test/", "<img src=p.png width=50 height=50>");
  browser.run_until_complete();
  EXPECT_THAT(browser.reports, ElementsAre(HasSubstr("fewer pixels than it said")));
}

TEST(renderer, what_could_not_be_loaded_is_told_with_its_reason) {
  FakeBrowser browser;
  browser.resources["http://a.test/n.png"] = {.mime_type = "text/html", .body = "not found"};
  browser.show("http://a.test/",
               "<img src=gone.png><img src=n.png><link rel=stylesheet href=s.css>");
  browser.run_until_complete();
  EXPECT_THAT(browser.reports, Contains("http://a.test/gone.png: not found"));
  EXPECT_THAT(browser.reports, Contains("http://a.test/s.css: not found"));
  EXPECT_THAT(browser.reports, Contains("http://a.test/n.png: text/html is no picture"));
}

TEST(renderer, a_picture_is_a_page) {
  FakeBrowser browser;
  browser.plugins["image/png"] = [](const std::string& bytes) {
    EXPECT_EQ(bytes, "the picture");
    return plain_picture({.width = 600, .height = 100}, blue);
  };
  browser.show("http://a.test/x%20y.png?1", "the picture", "image/png");
  browser.run_until_complete();
  EXPECT_THAT(browser.asked, IsEmpty());
  EXPECT_EQ(browser.gpu().pixel({.x = 300, .y = 50}), blue);
}

TEST(renderer, a_plugin_turns_markdown_into_a_page) {
  FakeBrowser browser;
  browser.plugins["text/markdown"] = [](const std::string&) {
    return PluginOutput{.pixels = {}, .size = {}, .html = "<h1 style='background:red'>Title</h1>"};
  };
  browser.show("http://a.test/read.md", "# Title", "text/markdown");
  browser.run_until_complete();
  EXPECT_THAT(browser.commits, ElementsAre("read.md"));
  EXPECT_GT(browser.gpu().count({.x = 0, .y = 0, .width = 600, .height = 200}, red), 5000);
}

TEST(renderer, unknown_documents_get_a_sentence) {
  FakeBrowser browser;
  browser.show("http://a.test/x.bin", "xx", "application/octet-stream");
  browser.run_until_complete();
  EXPECT_THAT(browser.reports, ElementsAre(HasSubstr("cannot show documents of the type")));
}

TEST(renderer, a_click_on_a_link_begins_a_navigation) {
  FakeBrowser browser;
  browser.show("http://a.test/d/",
               "<body style='margin:0'><a href='../x?a=1&amp;b=2#f' style='display:block;height:"
               "50px'>link</a>");
  browser.run_until_complete();
  browser.frame().async_click(Point{.x = 5, .y = 300}, browser.token());  // nothing there
  browser.frame().async_click(Point{.x = 5, .y = 10}, browser.token());
  browser.run_until("a navigation", [&] { return !browser.navigations.empty(); });
  EXPECT_THAT(browser.navigations, ElementsAre("http://a.test/x?a=1&b=2#f"));
}

TEST(renderer, scrolling_paints_what_comes_into_view) {
  FakeBrowser browser;
  browser.show("http://a.test/",
               "<body style='margin:0'><div style='height:5000px'></div><div "
               "style='background:red;height:100px'></div>");
  browser.run_until_complete();
  EXPECT_EQ(browser.content.height, 5100);
  const std::uint64_t before = browser.painted;
  browser.frame().async_scroll_to(Point{.x = 0, .y = 99'999}, browser.token());
  browser.run_until("another paint", [&] { return browser.painted > before; });
  browser.run_until_complete();
  EXPECT_EQ(browser.gpu().last.scroll, (Point{.x = 0, .y = 4700}));
  EXPECT_EQ(browser.gpu().pixel({.x = 5, .y = 5050}), red);
}

TEST(renderer, wherever_one_scrolls_the_page_is_there) {
  FakeBrowser browser;
  std::string html = "<body style='margin:0;width:1500px'>";
  for (int i = 0; i < 100; ++i) {
    html += std::string{"<div style='height:100px;background:"} + (i % 2 == 0 ? "red" : "blue") +
            "'></div>";
  }
  browser.show("http://a.test/", html);
  browser.run_until_complete();
  std::uint32_t random = 1;
  for (int i = 0; i < 150; ++i) {
    random = random * 1664525 + 1013904223;
    const bool far = i % 3 == 0;
    const Point now = browser.gpu().last.scroll;
    const std::int32_t step = static_cast<std::int32_t>(random >> 8);
    const Point there{.x = step % 900, .y = far ? step % 9600 : (now.y + step % 300) % 9600};
    const std::uint64_t before = browser.painted;
    browser.frame().async_scroll_to(there, browser.token());
    browser.run_until("a paint", [&] { return browser.painted > before; });
    browser.run_until_complete();
    for (std::int32_t y = there.y; y < there.y + 400; y += 57) {
      const std::uint32_t colour = y / 100 % 2 == 0 ? red : blue;
      ASSERT_EQ(browser.gpu().pixel({.x = there.x + 599, .y = y}), colour) << i << ' ' << y;
    }
  }
}

TEST(renderer, a_gpu_process_that_releases_late_delays_and_blocks_nothing) {
  FakeBrowser browser;
  browser.show("http://a.test/", "<body style='background:red'>");
  browser.run_until_complete();
  browser.gpu().releases = false;
  for (int i = 0; i < 5; ++i) browser.show("http://a.test/", "<body style='background:blue'>");
  browser.frame().async_ping(1, browser.token());
  browser.run_until("a pong", [&] { return !browser.pongs.empty(); });
  browser.attach_gpu();  // as the browser does with one that hangs
  browser.run_until_complete();
  EXPECT_EQ(browser.gpu().pixel({.x = 300, .y = 300}), blue);
}

TEST(renderer, a_fragment_is_where_a_page_begins) {
  FakeBrowser browser;
  browser.show("http://a.test/#there",
               "<body style='margin:0'><div style='height:1000px'></div><h1 id=there "
               "style='margin:0'>x</h1><div style='height:1000px'></div>");
  browser.run_until_complete();
  EXPECT_EQ(browser.gpu().last.scroll, (Point{.x = 0, .y = 1000}));
}

TEST(renderer, a_new_gpu_process_gets_the_same_tiles_again) {
  FakeBrowser browser;
  browser.show("http://a.test/", "<body style='background:#008000'>x");
  browser.run_until_complete();
  const auto tiles = browser.gpu().last.tiles;
  const std::uint64_t frame = browser.gpu().last.frame;
  browser.attach_gpu();
  browser.run_until("a submission", [&] { return browser.gpu().submissions > 0; });
  EXPECT_GT(browser.gpu().last.frame, frame);
  EXPECT_TRUE(std::ranges::includes(browser.gpu().last.tiles, tiles,
                                    [](const Tile& a, const Tile& b) { return a.slot < b.slot; }));
  EXPECT_EQ(browser.gpu().pixel({.x = 50, .y = 50}), green);
}

TEST(renderer, pages_follow_each_other) {
  FakeBrowser browser;
  for (int i = 0; i < 30; ++i) {
    const std::string colour = i % 2 == 0 ? "red" : "#008000";
    browser.show("http://a.test/", "<body style='background:" + colour + "'>" + std::to_string(i));
    browser.run_until_complete();
    EXPECT_EQ(browser.gpu().pixel({.x = 500, .y = 300}), i % 2 == 0 ? red : green);
  }
}

constexpr const char* page_of_two_fonts =
    "<body style='margin:0;font:30px serif'>Text <b style='font-family:monospace'>bold</b>";

TEST(renderer, fonts_are_found_without_fontconfigs_caches) {
  // As where they are missing or out of date, which fontconfig would put right by writing.
  bulkhead::Sandbox sandbox = renderer_sandbox();
  std::erase(sandbox.readable, "/var/cache/fontconfig");
  FakeBrowser browser{{.sandbox = sandbox}};
  browser.show("http://a.test/", page_of_two_fonts);
  browser.run_until_complete();
  EXPECT_LT(browser.gpu().count({.x = 0, .y = 0, .width = 200, .height = 40}, white), 7500);
}

TEST(renderer, it_works_without_namespaces) {
  bulkhead::Sandbox sandbox = renderer_sandbox();
  sandbox.namespaces = bulkhead::Sandbox::Need::off;
  FakeBrowser browser{{.sandbox = sandbox}};
  browser.show("http://a.test/", page_of_two_fonts);
  browser.run_until_complete();
  EXPECT_LT(browser.gpu().count({.x = 0, .y = 0, .width = 200, .height = 40}, white), 7500);
}

TEST(renderer, several_live_in_one_process_as_threads) {
  const FakeBrowser::Options as_thread{.sandbox = bulkhead::sandbox::none,
                                       .placement = bulkhead::Placement::thread};
  FakeBrowser first{as_thread};
  FakeBrowser second{as_thread};
  for (FakeBrowser* browser : {&first, &second}) {
    browser->show("http://a.test/", make_manual(short_page_bytes));
  }
  for (FakeBrowser* browser : {&first, &second}) {
    browser->run_until_complete();
    EXPECT_THAT(browser->commits, ElementsAre("The manual"));
  }
}

TEST(renderer, about_crash_is_a_segmentation_fault) {
  FakeBrowser browser;
  browser.show("about:crash", "");
  EXPECT_EQ(browser.death().signal, SIGSEGV);
}

TEST(renderer, about_hang_answers_nothing_and_can_be_killed) {
  FakeBrowser browser;
  browser.frame().async_ping(1, browser.token());
  browser.run_until("a pong", [&] { return !browser.pongs.empty(); });
  browser.show("about:hang", "");
  browser.frame().async_ping(2, browser.token());
  ASSERT_TRUE(browser.process().kill("a test said so"));
  static_cast<void>(browser.death());
  EXPECT_THAT(browser.pongs, ElementsAre(1));
}

TEST(renderer, about_oom_dies_of_it) {
  FakeBrowser browser;
  browser.show("about:oom", "");
  EXPECT_EQ(browser.death().cause, bulkhead::Exit::Cause::out_of_memory);
}

}  // namespace
}  // namespace porthole::test

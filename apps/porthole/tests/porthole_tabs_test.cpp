// SPDX-License-Identifier: Apache-2.0
//
// Scenario: ten tabs of five sites, as somebody at the command line sees them: the table of
// processes, the pictures, the commands, and what is said when something cannot be shown.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <set>

#include "support/census.hpp"
#include "tests/loopback_server.hpp"
#include "tests/porthole_run.hpp"

namespace porthole::test {
namespace {

using nlohmann::json;

bool shows_page(const Snapshot& picture, int number) {
  return picture.at(395, 195) == background_of_page(number) &&
         picture.count(picture_of_page(number)) == picture_side * picture_side;
}

TEST(porthole_tabs, ten_tabs_of_five_sites_have_a_process_each) {
  LoopbackServer server;
  serve_ten_pages(server);
  Porthole porthole{{.urls = ten_pages(server), .resolve = server.resolve()}};
  std::map<std::string, int> kinds;
  std::set<int> tabs;
  std::multiset<std::string> sites;
  std::set<pid_t> pids;
  for (const auto& row : porthole.first_table()) {
    ++kinds[row["kind"].get<std::string>()];
    pids.insert(row["pid"].get<pid_t>());
    EXPECT_GT(row["rss_kb"].get<int>(), 0) << row.dump();
    if (row["kind"] == "browser") {
      EXPECT_EQ(row["pid"], porthole.pid());
      continue;
    }
    const auto layers = row["sandbox"].get<std::vector<std::string>>();
    EXPECT_TRUE(std::ranges::count(layers, "calls")) << row.dump();
    if (row["kind"] != "renderer") continue;
    tabs.insert(row["tab"].get<int>());
    sites.insert(row["site"].get<std::string>());
  }
  EXPECT_EQ(kinds, (std::map<std::string, int>{
                       {"browser", 1}, {"renderer", 10}, {"plugin", 5}, {"gpu", 1}}));
  EXPECT_EQ(pids.size(), 17U);
  EXPECT_EQ(tabs, (std::set<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  for (const auto* site :
       {"http://a.test", "http://b.test", "http://c.test", "http://d.test", "http://e.test"}) {
    EXPECT_EQ(sites.count(site), 2U) << site;
  }
  for (int tab = 1; tab <= 10; ++tab) EXPECT_TRUE(shows_page(porthole.picture(tab), tab)) << tab;
  EXPECT_EQ(porthole.quit(), 0);
}

TEST(porthole_tabs, a_tab_goes_back_and_forward_over_sites_and_takes_a_process_for_each) {
  LoopbackServer server;
  serve_ten_pages(server);
  const auto urls = ten_pages(server);
  Porthole porthole{{.urls = {urls[0]}, .resolve = server.resolve()}};
  const pid_t first = porthole.renderer_of(1);
  porthole.obey("go 1 " + urls[1]);  // the same site
  EXPECT_EQ(porthole.renderer_of(1), first);
  porthole.obey("go 1 " + urls[4]);
  EXPECT_NE(porthole.renderer_of(1), first);
  EXPECT_TRUE(goes(first));
  EXPECT_TRUE(shows_page(porthole.picture(1), 5));
  EXPECT_EQ(porthole.obey("back 1")["url"], urls[1]);
  EXPECT_TRUE(shows_page(porthole.picture(1), 2));
  porthole.obey("back 1");
  EXPECT_TRUE(shows_page(porthole.picture(1), 1));
  EXPECT_EQ(porthole.obey("forward 1")["title"], "Page 2");
  porthole.obey("reload 1");
  EXPECT_TRUE(shows_page(porthole.picture(1), 2));
  EXPECT_EQ(porthole.quit(), 0);
}

TEST(porthole_tabs, the_old_page_stays_until_the_new_one_answers) {
  LoopbackServer server;
  serve_ten_pages(server);
  server.serve("/slow", {.body = "<p>slow", .sent = 0, .then = Reply::Then::hold});
  Porthole porthole{
      {.urls = {server.url("/page/1"), server.url("/page/2")}, .resolve = server.resolve()}};
  const auto before = porthole.picture(1);
  porthole.send("go 1 " + server.url("/slow", "b.test"));
  server.wait_until_held(1);
  server.release();
  EXPECT_EQ(porthole.answer()["status"], "painted");
  EXPECT_NE(porthole.picture(1), before);
  EXPECT_EQ(porthole.quit(), 0);
}

TEST(porthole_tabs, the_end_of_standard_input_does_not_end_the_hold) {
  LoopbackServer server;
  serve_ten_pages(server);
  Porthole porthole{{.urls = {server.url("/page/1")}, .resolve = server.resolve()}};
  const pid_t renderer = porthole.renderer_of(1);
  porthole.close_input();
  porthole.kill_and_wait(renderer, SIGSEGV);
  porthole.wait_for_error("SIGSEGV");
  EXPECT_EQ(::kill(porthole.pid(), 0), 0);
}

/// What is printed for one URL that cannot be shown; and it fails.
std::string complaint_about(const std::string& url, const LoopbackServer& server) {
  std::vector<std::string> arguments{"--headless", "--size", "400x304"};
  for (const auto& rule : server.resolve()) {
    arguments.emplace_back("--resolve");
    arguments.push_back(rule);
  }
  arguments.push_back(url);
  const auto outcome = run_porthole(arguments);
  EXPECT_NE(outcome.status, 0) << url;
  EXPECT_GE(outcome.status, 0) << url;
  EXPECT_EQ(outcome.output, "") << url;
  return outcome.errors;
}

TEST(porthole_tabs, what_cannot_be_shown_is_told_and_fails) {
  LoopbackServer server;
  server.serve("/zip", {.type = "application/zip", .body = "PK"});
  server.serve("/cut", {.body = std::string(100, 'x'), .sent = 10, .then = Reply::Then::close});
  server.serve("/loop", redirect_to("/loop"));
  server.serve("/leads-to-files", redirect_to("file:///etc/passwd"));
  const std::pair<std::string, std::string> cases[] = {
      {"/nowhere/none.html", "there is no such file"},
      {"http://nobody.invalid/", "no such host"},
      {server.url("/zip"), "application/zip"},
      {server.url("/cut"), "the server closed after 10 of 100 bytes"},
      {server.url("/loop"), "was redirected 20 times"},
      {server.url("/leads-to-files"), "where no server may lead"},
      {server.url("/missing"), "404"},
      {"gopher://x/", "does not know the scheme"},
  };
  for (const auto& [url, words] : cases) {
    const auto errors = complaint_about(url, server);
    EXPECT_TRUE(errors.contains(words)) << url << ": " << errors;
    EXPECT_TRUE(errors.starts_with("porthole: ")) << errors;
  }
}

TEST(porthole_tabs, a_broken_picture_is_a_placeholder_and_told) {
  LoopbackServer server;
  server.serve("/page", {.body = "<body style=\"background:#336699\"><img src=\"/broken.png\">"
                                 "<img src=\"/none.png\">"});
  server.serve("/broken.png",
               {.type = "image/png", .body = png_of_colour(0xff123456, 40).substr(0, 60)});
  Porthole porthole{{.urls = {server.url("/page")}, .resolve = server.resolve()}};
  EXPECT_EQ(porthole.picture(1).at(395, 195), 0xff336699);
  EXPECT_TRUE(porthole.errors().contains("/broken.png")) << porthole.errors();
  EXPECT_TRUE(porthole.errors().contains("/none.png")) << porthole.errors();
  porthole.quit();
}

TEST(porthole_tabs, a_page_from_the_network_gets_no_files) {
  LoopbackServer server;
  const auto folder = bulkhead::test::temporary_folder();
  const std::uint32_t secret = 0xff12ab34;
  std::ofstream{folder / "secret.png"} << png_of_colour(secret, 50);
  const std::string image = "<img src=\"" + ("file://" + (folder / "secret.png").string()) + "\">";
  server.serve("/page", {.body = image});
  std::ofstream{folder / "page.html"} << image;
  Porthole porthole{{.urls = {server.url("/page"), (folder / "page.html").string()},
                     .resolve = server.resolve()}};
  EXPECT_EQ(porthole.picture(1).count(secret), 0);
  EXPECT_EQ(porthole.picture(2).count(secret), 2500);
  EXPECT_TRUE(porthole.errors().contains("may not")) << porthole.errors();
  porthole.quit();
}

}  // namespace
}  // namespace porthole::test

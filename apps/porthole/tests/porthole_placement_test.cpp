// SPDX-License-Identifier: Apache-2.0
//
// Scenario: the same pages and the same misfortunes with roles as processes and, by
// --placement=thread, as threads of one process. The difference is printed as a table; it is the
// table of the handbook.
#include <csignal>
#include <cstdio>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

#include "tests/loopback_server.hpp"
#include "tests/porthole_run.hpp"

namespace porthole::test {
namespace {

enum class Fate : std::uint8_t { one_tab, everything };

const char* words(Fate fate) {
  return fate == Fate::one_tab ? "that tab is sad, the others go on" : "all tabs are gone";
}

struct Row {
  const char* event;
  const char* apart;
  const char* together;
};

/// The failure table of the handbook, as it stands in its page.
std::string handbook_table() {
  std::ifstream file{PORTHOLE_HANDBOOK "/failure.html"};
  std::stringstream text;
  text << file.rdbuf();
  const std::string page = text.str();
  const auto begin = page.find("<!-- failure-table: begin");
  const auto end = page.find("<!-- failure-table: end");
  if (begin == std::string::npos || end == std::string::npos) return {};
  return page.substr(begin, end - begin);
}

std::string in_html(const Row& row) {
  return std::string{"<td class=\"key\">"} + row.event + "</td><td class=\"good\">" + row.apart +
         "</td><td class=\"bad\">" + row.together + "</td>";
}

PortholeOptions options(const LoopbackServer& server, const std::string& placement) {
  const auto urls = ten_pages(server);
  // Long enough for honest pages on a machine that is busy.
  return {.urls = {urls[0], urls[2]},
          .resolve = server.resolve(),
          .more = {"--placement=" + placement, "--hang-timeout", "3"}};
}

/// What becomes of the second tab when the first one crashes.
Fate crash(const LoopbackServer& server, const std::string& placement) {
  Porthole porthole{options(server, placement)};
  const auto other = porthole.picture(2);
  porthole.send("go 1 about:crash");
  if (placement == "thread") {
    EXPECT_LT(porthole.wait(), 0) << "a signal ends it";
    return Fate::everything;
  }
  EXPECT_EQ(porthole.answer()["status"], "sad");
  EXPECT_EQ(porthole.picture(2), other);
  EXPECT_EQ(porthole.quit(), 0);
  return Fate::one_tab;
}

/// The same when it hangs and its time is over.
Fate hang(const LoopbackServer& server, const std::string& placement) {
  Porthole porthole{options(server, placement)};
  const auto other = porthole.picture(2);
  porthole.send("go 1 about:hang");
  if (placement == "thread") {
    EXPECT_GT(porthole.wait(), 0) << "nothing ends a thread but the end of its process";
    EXPECT_TRUE(porthole.errors().contains("all of porthole ends")) << porthole.errors();
    return Fate::everything;
  }
  EXPECT_EQ(porthole.answer()["status"], "sad");
  EXPECT_EQ(porthole.picture(2), other);
  EXPECT_EQ(porthole.quit(), 0);
  return Fate::one_tab;
}

TEST(porthole_placement, the_same_pages_are_painted_the_same) {
  LoopbackServer server;
  serve_ten_pages(server);
  Porthole apart{options(server, "process")};
  Porthole together{options(server, "thread")};
  for (const int tab : {1, 2}) EXPECT_EQ(apart.picture(tab), together.picture(tab)) << tab;
  for (const auto& row : together.first_table()) EXPECT_EQ(row["pid"], together.pid());
  EXPECT_EQ(apart.quit(), 0);
  EXPECT_EQ(together.quit(), 0);
}

TEST(porthole_placement, the_same_crash_and_the_same_hang_take_one_tab_or_everything) {
  LoopbackServer server;
  serve_ten_pages(server);
  const Fate crash_apart = crash(server, "process");
  const Fate crash_together = crash(server, "thread");
  const Fate hang_apart = hang(server, "process");
  const Fate hang_together = hang(server, "thread");
  EXPECT_NE(crash_apart, crash_together);
  EXPECT_NE(hang_apart, hang_together);
  const Row rows[] = {{"a page crashes", words(crash_apart), words(crash_together)},
                      {"a page hangs", words(hang_apart), words(hang_together)}};
  std::printf("%-24s  %-34s  %s\n", "", "a process for each role", "threads of one process");
  const std::string table = handbook_table();
  for (const Row& row : rows) {
    std::printf("%-24s  %-34s  %s\n", row.event, row.apart, row.together);
    EXPECT_TRUE(table.contains(in_html(row))) << "the handbook says otherwise of: " << row.event;
  }
}

}  // namespace
}  // namespace porthole::test

// SPDX-License-Identifier: Apache-2.0
//
// Tabs with real renderers and a real gpu process, in the test's own event loop.
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/thread_pool.hpp>
#include <csignal>
#include <fstream>
#include <gtest/gtest.h>
#include <optional>

#include "browser/browser.hpp"
#include "support/census.hpp"
#include "support/watchdog.hpp"

namespace porthole {
namespace {

using bulkhead::test::Waiting;
using Status = Tab::Status;

struct tabs : testing::Test {
  asio::io_context loop;
  asio::executor_work_guard<asio::io_context::executor_type> work{loop.get_executor()};
  asio::thread_pool workers{2};
  std::optional<Browser> browser;
  std::filesystem::path folder = bulkhead::test::temporary_folder();

  void SetUp() override {
    browser.emplace(loop, workers, BrowserOptions{.window = {.width = 400, .height = 300}});
    write("one.html", "<title>One</title><p>one");
    write("two.html", "<title>Two</title><div style='height:5000px'>two</div>");
  }
  void TearDown() override {
    bool ended = false;
    browser->end([&] { ended = true; });
    until("the end of the children", [&] { return ended; });
    workers.join();
    browser.reset();
  }

  void write(const char* name, const char* text) { std::ofstream(folder / name) << text; }
  std::string page(const char* name) const { return (folder / name).string(); }
  template <class Done> void until(const char* what, Done done) {
    const Waiting waiting{what};
    while (!done()) loop.run_one();
  }
  void settle(const Tab& tab) {
    until("a tab", [&] { return tab.status() != Status::loading; });
  }
  Tab& open(const std::string& input) {
    Tab& tab = browser->open(input);
    settle(tab);
    return tab;
  }
};

TEST_F(tabs, a_page_is_painted_by_a_process_that_is_locked_to_its_site) {
  const Tab& tab = open(page("one.html"));
  EXPECT_EQ(tab.status(), Status::painted);
  EXPECT_EQ(tab.title(), "One");
  ASSERT_NE(tab.page(), nullptr);
  EXPECT_EQ(tab.page()->site().name, "file:");
  EXPECT_GT(tab.page()->frame(), 0u);
}

TEST_F(tabs, the_same_site_keeps_the_process_and_the_old_page_stays_until_the_new_one_paints) {
  Tab& tab = open(page("one.html"));
  const pid_t before = tab.page()->process().pid();
  browser->go(tab, page("two.html"));
  EXPECT_EQ(tab.status(), Status::loading);
  EXPECT_NE(tab.page(), nullptr);
  EXPECT_EQ(tab.title(), "One");
  settle(tab);
  EXPECT_EQ(tab.title(), "Two");
  EXPECT_EQ(tab.page()->process().pid(), before);
}

TEST_F(tabs, history_and_scrolling_outlive_the_renderer) {
  Tab& tab = open(page("two.html"));
  tab.scroll_to({.y = 700});
  settle(tab);
  browser->go(tab, "about:crash");
  settle(tab);
  EXPECT_EQ(tab.status(), Status::sad);
  EXPECT_NE(tab.reason().find("SIGSEGV"), std::string::npos) << tab.reason();
  EXPECT_EQ(tab.page(), nullptr);
  ASSERT_TRUE(tab.back());
  settle(tab);
  EXPECT_EQ(tab.status(), Status::painted);
  EXPECT_EQ(tab.title(), "Two");
  EXPECT_EQ(tab.history().current().scroll, (Point{.y = 700}));
  EXPECT_TRUE(tab.history().can_forward());
}

TEST_F(tabs, a_page_that_was_ended_can_be_reloaded_into_another_process) {
  Tab& tab = open(page("one.html"));
  const pid_t before = tab.page()->process().pid();
  EXPECT_TRUE(tab.end("the test ended it"));
  settle(tab);
  EXPECT_EQ(tab.status(), Status::sad);
  EXPECT_NE(tab.reason().find("the test ended it"), std::string::npos) << tab.reason();
  EXPECT_FALSE(tab.end("again"));
  EXPECT_TRUE(tab.reload());
  settle(tab);
  EXPECT_EQ(tab.status(), Status::painted);
  EXPECT_NE(tab.page()->process().pid(), before);
}

TEST_F(tabs, what_is_not_there_is_an_error_page_in_a_process_without_a_site) {
  Tab& tab = open(page("none.html"));
  EXPECT_EQ(tab.status(), Status::failed);
  EXPECT_NE(tab.reason().find("no such file"), std::string::npos) << tab.reason();
  ASSERT_NE(tab.page(), nullptr);
  EXPECT_EQ(tab.page()->site().name, "");
  write("none.html", "<title>Here now</title>");
  EXPECT_TRUE(tab.reload());
  settle(tab);
  EXPECT_EQ(tab.status(), Status::painted);
  EXPECT_EQ(tab.title(), "Here now");
  EXPECT_EQ(tab.history().size(), 1u);
}

TEST_F(tabs, there_is_nothing_to_go_back_or_forward_to_at_first) {
  Tab& tab = open(page("one.html"));
  EXPECT_FALSE(tab.back());
  EXPECT_FALSE(tab.forward());
}

TEST_F(tabs, the_death_of_the_gpu_process_costs_no_page_and_pictures_go_on) {
  Tab& tab = open(page("one.html"));
  const pid_t renderer = tab.page()->process().pid();
  pid_t gpu = 0;
  for (const auto& row : browser->processes()) {
    if (row.kind == "gpu") gpu = row.pid;
  }
  ASSERT_GT(gpu, 0);
  ASSERT_EQ(::kill(gpu, SIGKILL), 0);
  std::optional<bulkhead::Result<Picture>> picture;
  browser->capture(tab.id(), [&](bulkhead::Result<Picture> taken) { picture = std::move(taken); });
  until("a picture", [&] { return picture.has_value(); });
  ASSERT_TRUE(*picture) << picture->error();
  EXPECT_EQ((*picture)->size, (Size{.width = 400, .height = 300}));
  EXPECT_EQ(tab.status(), Status::painted);
  EXPECT_EQ(tab.page()->process().pid(), renderer);
}

}  // namespace
}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
//
// Scenario: processes of Porthole die, each kind in each way. What was in the process is gone, and
// nothing else: other tabs keep their pixels and their processes, and a reload brings the page back.
#include <csignal>
#include <gtest/gtest.h>

#include "tests/loopback_server.hpp"
#include "tests/porthole_run.hpp"

namespace porthole::test {
namespace {

/// Three tabs of three sites: the first is the victim.
class PortholeCrash : public testing::Test {
 protected:
  PortholeCrash() { serve_ten_pages(server_); }

  PortholeOptions options() const {
    const auto urls = ten_pages(server_);
    return {.urls = {urls[0], urls[2], urls[4]}, .resolve = server_.resolve()};
  }

  static std::vector<Snapshot> others(Porthole& porthole) {
    return {porthole.picture(2), porthole.picture(3)};
  }

  LoopbackServer server_;
};

TEST_F(PortholeCrash, a_renderer_that_is_killed_is_a_sad_tab_and_nothing_else) {
  Porthole porthole{options()};
  const auto page = porthole.picture(1);
  const auto rest = others(porthole);
  const pid_t second = porthole.renderer_of(2);
  for (const int signal : {SIGSEGV, SIGKILL, SIGABRT, SIGTERM}) {
    const pid_t victim = porthole.renderer_of(1);
    porthole.kill_and_wait(victim, signal);
    porthole.wait_for_error("(pid " + std::to_string(victim) + ")");
    EXPECT_EQ(porthole.renderer_of(1), 0);
    EXPECT_NE(porthole.picture(1), page) << "signal " << signal;
    EXPECT_EQ(others(porthole), rest) << "signal " << signal;
    EXPECT_EQ(porthole.obey("reload 1")["status"], "painted");
    EXPECT_EQ(porthole.picture(1), page) << "signal " << signal;
  }
  EXPECT_EQ(porthole.renderer_of(2), second);
  EXPECT_TRUE(porthole.errors().contains("SIGSEGV")) << porthole.errors();
  EXPECT_EQ(porthole.quit(), 0) << "deaths while held leave the status as it was";
}

TEST_F(PortholeCrash, a_page_that_crashes_takes_its_own_tab) {
  Porthole porthole{options()};
  const auto rest = others(porthole);
  for (const std::string page : {"about:crash", "about:oom"}) {
    const auto said = porthole.command("go 1 " + page);
    EXPECT_EQ(said["status"], "sad") << said.dump();
    EXPECT_TRUE(said["reason"].get<std::string>().contains("The page's process")) << said.dump();
    EXPECT_EQ(others(porthole), rest) << page;
    EXPECT_EQ(porthole.obey("back 1")["status"], "painted");
  }
  EXPECT_TRUE(porthole.errors().contains("about:crash: ")) << porthole.errors();
  EXPECT_TRUE(porthole.errors().contains("about:oom: ")) << porthole.errors();
  EXPECT_EQ(porthole.quit(), 0);
}

TEST_F(PortholeCrash, a_tab_that_crashes_as_the_program_starts_fails_the_program) {
  const auto outcome = run_porthole({"--headless", "about:version", "about:crash"});
  EXPECT_GT(outcome.status, 0);
  EXPECT_TRUE(outcome.errors.contains("SIGSEGV")) << outcome.errors;
}

TEST_F(PortholeCrash, a_plugin_that_dies_leaves_the_pages_and_comes_back_with_the_next_picture) {
  Porthole porthole{options()};
  const auto page = porthole.picture(1);
  const auto rest = others(porthole);
  const auto plugins = porthole.pids("plugin");
  ASSERT_EQ(plugins.size(), 3U);
  for (const pid_t plugin : plugins) porthole.kill_and_wait(plugin, SIGSEGV);
  EXPECT_EQ(porthole.picture(1), page);
  EXPECT_EQ(others(porthole), rest);
  EXPECT_EQ(porthole.obey("reload 1")["status"], "painted");
  EXPECT_EQ(porthole.picture(1), page);
  EXPECT_EQ(porthole.quit(), 0);
}

TEST_F(PortholeCrash, a_plugin_that_crashes_on_a_picture_costs_a_placeholder) {
  for (const std::string how : {"crash", "exit", "wrong-size", "socket", "open-file"}) {
    const std::string path = "/chaos-" + how;
    server_.serve(path + ".picture", {.type = "application/x-chaos-" + how, .body = "x"});
    server_.serve(path, {.body = "<body style=\"background:#225577\"><p>Text</p><img src=\"" +
                                 path + ".picture\"><img src=\"/picture/1.png\">"});
  }
  Porthole porthole{options()};
  const auto rest = others(porthole);
  for (const std::string how : {"crash", "exit", "wrong-size", "socket", "open-file"}) {
    const pid_t renderer = porthole.renderer_of(1);
    porthole.obey("go 1 " + server_.url("/chaos-" + how));
    EXPECT_EQ(porthole.renderer_of(1), renderer) << "the page's process goes on: " << how;
    const auto picture = porthole.picture(1);
    EXPECT_EQ(picture.at(395, 195), 0xff225577) << how;
    EXPECT_EQ(picture.count(picture_of_page(1)), picture_side * picture_side) << how;
    EXPECT_TRUE(porthole.errors().contains("/chaos-" + how + ".picture")) << porthole.errors();
  }
  EXPECT_EQ(others(porthole), rest);
  EXPECT_EQ(porthole.quit(), 0);
}

TEST_F(PortholeCrash, a_gpu_process_that_dies_is_replaced_and_nothing_is_painted_anew) {
  Porthole porthole{options()};
  const auto page = porthole.picture(1);
  const auto rest = others(porthole);
  const std::vector<pid_t> renderers = porthole.pids("renderer");
  const std::size_t requests = server_.requests().size();
  for (const int signal : {SIGSEGV, SIGKILL}) {
    const auto gpu = porthole.pids("gpu");
    ASSERT_EQ(gpu.size(), 1U);
    porthole.kill_and_wait(gpu[0], signal);
    EXPECT_EQ(porthole.picture(1), page);
    EXPECT_EQ(others(porthole), rest);
    EXPECT_NE(porthole.pids("gpu"), gpu);
  }
  EXPECT_EQ(porthole.pids("renderer"), renderers);
  EXPECT_EQ(server_.requests().size(), requests);
  EXPECT_EQ(porthole.quit(), 0);
}

TEST_F(PortholeCrash, when_the_browser_is_killed_all_its_children_go) {
  for (const int signal : {SIGKILL, SIGSEGV, SIGTERM}) {
    Porthole porthole{options()};
    std::vector<pid_t> children;
    for (const auto& row : porthole.first_table()) {
      if (row["kind"] != "browser") children.push_back(row["pid"].get<pid_t>());
    }
    EXPECT_EQ(children.size(), 7U);
    ASSERT_EQ(::kill(porthole.pid(), signal), 0);
    EXPECT_EQ(porthole.wait(), -signal);
    for (const pid_t child : children) EXPECT_TRUE(goes(child)) << child;
  }
}

}  // namespace
}  // namespace porthole::test

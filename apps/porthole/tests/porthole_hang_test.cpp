// SPDX-License-Identifier: Apache-2.0
//
// Scenario: a page whose process goes round in a circle. It is busy, its tab can be left or ended,
// and all other tabs go on.
#include <csignal>
#include <gtest/gtest.h>

#include "tests/loopback_server.hpp"
#include "tests/porthole_run.hpp"

namespace porthole::test {
namespace {

class PortholeHang : public testing::Test {
 protected:
  PortholeHang() { serve_ten_pages(server_); }

  PortholeOptions options(std::vector<std::string> more = {}) const {
    const auto urls = ten_pages(server_);
    return {.urls = {urls[0], urls[2]}, .resolve = server_.resolve(), .more = std::move(more)};
  }

  LoopbackServer server_;
};

TEST_F(PortholeHang, a_page_that_hangs_is_ended_when_the_time_is_over) {
  Porthole porthole{options({"--hang-timeout", "3"})};
  const auto other = porthole.picture(2);
  const auto said = porthole.command("go 1 about:hang");
  EXPECT_EQ(said["status"], "sad") << said.dump();
  EXPECT_TRUE(porthole.errors().contains("it does not respond")) << porthole.errors();
  EXPECT_EQ(porthole.picture(2), other);
  EXPECT_EQ(porthole.obey("back 1")["status"], "painted");
  EXPECT_EQ(porthole.quit(), 0);
}

TEST_F(PortholeHang, a_page_turns_a_process_stops_the_gpu_process_hangs_and_the_rest_goes_on) {
  const auto urls = ten_pages(server_);
  Porthole porthole{{.urls = {urls[0], urls[2], urls[4]}, .resolve = server_.resolve()}};
  const auto third = porthole.picture(3);
  const pid_t stopped = porthole.renderer_of(3);
  const auto gpu = porthole.pids("gpu");
  ASSERT_EQ(gpu.size(), 1U);
  ASSERT_EQ(::kill(stopped, SIGSTOP), 0);
  ASSERT_EQ(::kill(gpu[0], SIGSTOP), 0);
  porthole.send("go 1 about:hang");
  porthole.wait_for_error("about:hang: it does not respond");
  porthole.wait_for_error(urls[4] + ": it does not respond");
  ASSERT_EQ(::kill(stopped, SIGCONT), 0);
  porthole.wait_for_error(urls[4] + ": it responds again");
  EXPECT_EQ(porthole.answer()["status"], "busy");

  EXPECT_EQ(porthole.obey("go 2 " + urls[3])["status"], "painted");
  EXPECT_EQ(porthole.picture(2).at(395, 195), background_of_page(4));
  EXPECT_EQ(porthole.picture(3), third);
  EXPECT_EQ(porthole.renderer_of(3), stopped) << "it only paused";
  EXPECT_TRUE(goes(gpu[0])) << "another one took its place";
  EXPECT_EQ(porthole.obey("end 1")["status"], "sad");
  EXPECT_EQ(porthole.obey("back 1")["status"], "painted");
  EXPECT_EQ(porthole.picture(1).at(395, 195), background_of_page(1));
  EXPECT_EQ(porthole.quit(), 0);
}

}  // namespace
}  // namespace porthole::test

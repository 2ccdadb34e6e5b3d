// SPDX-License-Identifier: Apache-2.0
//
// Scenario: the same pages drawn by the CPU and by GL, which is software's where there is no GPU; and
// what is left when the processes that draw with GL keep dying.
#include <csignal>
#include <gtest/gtest.h>

#include "tests/loopback_server.hpp"
#include "tests/porthole_run.hpp"

namespace porthole::test {
namespace {

class PortholeCompositor : public testing::Test {
 public:
  PortholeCompositor() { serve_ten_pages(server); }

  PortholeOptions options(const std::string& compositor) {
    const auto urls = ten_pages(server);
    return {.urls = {urls[0], urls[2]},
            .resolve = server.resolve(),
            .more = {"--compositor=" + compositor}};
  }

  LoopbackServer server;
};

std::string compositor_of(Porthole& porthole) {
  for (const auto& row : porthole.processes()) {
    if (row["kind"] == "gpu") return row["compositor"];
  }
  return "there is no gpu process";
}

/// Only what this machine lacks; a GL that starts elsewhere has to start in Porthole (see
/// gl_process_test.cpp).
bool has_no_gl(Porthole& porthole) { return porthole.errors().contains("the CPU draws: "); }

TEST_F(PortholeCompositor, gl_draws_the_same_pixels_as_the_cpu) {
  Porthole by_gl{options("gl")};
  if (has_no_gl(by_gl)) GTEST_SKIP() << by_gl.errors();
  Porthole by_cpu{options("cpu")};
  EXPECT_TRUE(compositor_of(by_gl).starts_with("gl on ")) << compositor_of(by_gl);
  EXPECT_EQ(compositor_of(by_cpu), "cpu");
  for (const int tab : {1, 2}) EXPECT_EQ(by_gl.picture(tab), by_cpu.picture(tab)) << tab;
  EXPECT_EQ(by_gl.obey("scroll 1 100")["status"], by_cpu.obey("scroll 1 100")["status"]);
  EXPECT_EQ(by_gl.picture(1), by_cpu.picture(1));
  EXPECT_EQ(by_gl.quit(), 0);
  EXPECT_EQ(by_cpu.quit(), 0);
}

TEST_F(PortholeCompositor, after_three_deaths_with_gl_the_cpu_draws_the_same_page) {
  Porthole porthole{options("gl")};
  if (has_no_gl(porthole)) GTEST_SKIP() << porthole.errors();
  const auto before = porthole.picture(1);
  for (int death = 1; death <= 3; ++death) {
    EXPECT_NE(compositor_of(porthole), "cpu") << "before death " << death;
    const auto gpu = porthole.pids("gpu");
    ASSERT_EQ(gpu.size(), 1U);
    porthole.kill_and_wait(gpu[0], SIGKILL);
    EXPECT_EQ(porthole.picture(1), before) << "after death " << death;
  }
  porthole.wait_for_error("the CPU draws from now on");
  EXPECT_EQ(compositor_of(porthole), "cpu");
  EXPECT_EQ(porthole.quit(), 0);
}

TEST_F(PortholeCompositor, a_compositor_that_there_is_not_is_refused) {
  const auto outcome = run_porthole({"--headless", "--compositor=paper", "about:blank"});
  EXPECT_NE(outcome.status, 0);
}

}  // namespace
}  // namespace porthole::test

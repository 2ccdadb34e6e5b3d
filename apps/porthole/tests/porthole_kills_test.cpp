// SPDX-License-Identifier: Apache-2.0
//
// Scenario: random kills over all kinds of children, in the middle of whatever they do. Afterwards
// every tab can be reloaded, the program is there, and nothing is left behind.
#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <gtest/gtest.h>
#include <random>

#include "support/soak.hpp"
#include "tests/loopback_server.hpp"
#include "tests/porthole_run.hpp"

namespace porthole::test {
namespace {

constexpr int tabs = 10;
constexpr int kills_in_a_row = 50;  // then all that is broken is mended

/// Another each time, and told, so that a failure can be repeated.
unsigned seed() {
  const char* given = std::getenv("BULKHEAD_TEST_SEED");
  const unsigned value =
      given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  return value;
}

std::vector<pid_t> children_of(Porthole& porthole) {
  std::vector<pid_t> children;
  for (const auto& row : porthole.processes()) {
    if (row["kind"] != "browser") children.push_back(row["pid"].get<pid_t>());
  }
  return children;
}

/// Kills children one after the other, half of them while a tab is reloaded; tabs that became sad
/// stay so until chance reloads them.
void strike(Porthole& porthole, std::mt19937& random, int kills) {
  constexpr std::array signals{SIGKILL, SIGSEGV, SIGABRT, SIGBUS, SIGTERM};
  for (int kill = 0; kill < kills; ++kill) {
    const auto children = children_of(porthole);
    const bool reloads = children.size() < tabs || random() % 2 == 0;
    if (reloads) porthole.send("reload " + std::to_string(random() % tabs + 1));
    if (!children.empty()) {
      porthole.kill_and_wait(children[random() % children.size()],
                             signals[random() % signals.size()]);
    }
    if (reloads) porthole.answer();  // painted or sad, but an answer
  }
}

void expect_all_well(Porthole& porthole) {
  for (int tab = 1; tab <= tabs; ++tab) {
    const auto said = porthole.obey("reload " + std::to_string(tab));
    EXPECT_EQ(said["status"], "painted") << said.dump();
  }
  for (int tab = 1; tab <= tabs; ++tab) {
    const auto picture = porthole.picture(tab);
    EXPECT_EQ(picture.at(395, 195), background_of_page(tab)) << tab;
    EXPECT_EQ(picture.count(picture_of_page(tab)), picture_side * picture_side) << tab;
  }
}

// A plugin that dies 32 times within a minute is not started again; two hundred kills in one run
// stay far from that, and a soak begins anew after them.
void kill_two_hundred(std::mt19937& random) {
  LoopbackServer server;
  serve_ten_pages(server);
  Porthole porthole{{.urls = ten_pages(server), .resolve = server.resolve()}};
  for (int round = 0; round < 4 && !testing::Test::HasFailure(); ++round) {
    strike(porthole, random, kills_in_a_row);
    expect_all_well(porthole);
  }
  EXPECT_EQ(porthole.quit(), 0);
}

TEST(porthole_kills, after_many_random_kills_every_tab_reloads_and_nothing_is_left) {
  const unsigned chance = seed();
  SCOPED_TRACE("BULKHEAD_TEST_SEED=" + std::to_string(chance));
  std::mt19937 random{chance};
  const int times = bulkhead::test::soaked(1);
  for (int i = 0; i < times && !testing::Test::HasFailure(); ++i) kill_two_hundred(random);
}

}  // namespace
}  // namespace porthole::test

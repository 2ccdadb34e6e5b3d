// SPDX-License-Identifier: Apache-2.0
// TCP between processes, and over a network that goes away.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

#include "support/children.hpp"
#include "support/own_network.hpp"
#include "support/watchdog.hpp"

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;

TEST(tcp, over_a_network_that_went_down_is_found_dead_by_the_heartbeat) {
  const int outcome = test::in_own_network([] {
    auto listener = or_exit(listen("tcp://127.0.0.1:0?heartbeat=20ms&patience=200ms"));
    auto client =
        or_exit(connect(listener.address().text() + "?heartbeat=20ms&patience=200ms", 20s));
    auto server = or_exit(listener.accept(20s));
    or_exit(client.send(as_bytes("all is well"), 20s));
    EXPECT_EQ(or_exit(server.receive(20s)).text(), "all is well");
    ASSERT_TRUE(test::set_loopback(false));
    for (Channel* const end : {&client, &server}) {
      auto got = end->receive(never);
      ASSERT_FALSE(got);
      EXPECT_EQ(got.error().kind(), ErrorKind::peer_died) << got.error();
    }
  });
  if (outcome == test::no_network) GTEST_SKIP() << "only root can make a network of its own";
  EXPECT_EQ(outcome, 0);
}

TEST(tcp, over_a_network_that_went_down_for_a_moment_goes_on) {
  const int outcome = test::in_own_network([] {
    auto listener = or_exit(listen("tcp://127.0.0.1:0?heartbeat=20ms&patience=1min"));
    auto client =
        or_exit(connect(listener.address().text() + "?heartbeat=20ms&patience=1min", 20s));
    auto server = or_exit(listener.accept(20s));
    ASSERT_TRUE(test::set_loopback(false));
    or_exit(client.send(as_bytes("late, but whole"), 20s));
    auto none = server.receive(100ms);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().kind(), ErrorKind::timed_out) << none.error();
    ASSERT_TRUE(test::set_loopback(true));
    auto got = server.receive(never);
    ASSERT_TRUE(got) << got.error();
    EXPECT_EQ(got->text(), "late, but whole");
  });
  if (outcome == test::no_network) GTEST_SKIP() << "only root can make a network of its own";
  EXPECT_EQ(outcome, 0);
}

TEST(tcp, connects_anew_to_a_server_that_was_killed_and_started_again) {
  // The port of a listener of ours, given up for the servers.
  std::string at;
  {
    auto mine = or_throw(listen("tcp://127.0.0.1:0"));
    at = mine.address().text();
  }
  auto server = test::Child::start("tcp", {"serve", at});
  auto channel = or_throw(connect(at + "?reconnect=1min", 20s));
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(channel.send(as_bytes("hello"), 20s));
    auto answer = channel.receive(20s);
    ASSERT_TRUE(answer) << answer.error();
    EXPECT_EQ(answer->text(), "hello");
    server.kill();
    server.wait();
    auto told = channel.receive(20s);
    ASSERT_FALSE(told);
    EXPECT_EQ(told.error().kind(), ErrorKind::peer_died);
    server = test::Child::start("tcp", {"serve", at});
    auto unsure = channel.send(as_bytes("not sent"), 20s);
    ASSERT_FALSE(unsure) << "this half hears of it, too";
    EXPECT_EQ(unsure.error().kind(), ErrorKind::peer_died);
  }
  EXPECT_TRUE(channel.send(as_bytes("hello"), 20s));
  EXPECT_TRUE(channel.receive(20s));
}

TEST(tcp, example_says_a_word_to_its_server_and_prints_the_answer) {
  std::string at;
  {
    auto mine = or_throw(listen("tcp://127.0.0.1:0"));
    at = mine.address().text();
  }
  auto server = test::Child::start("tcp", {"serve", at});
  auto client = test::Child::start("tcp", {"say", at, "ahoy"});
  EXPECT_EQ(client.read_line(), "ahoy");
  EXPECT_EQ(client.wait(), 0);
}

}  // namespace

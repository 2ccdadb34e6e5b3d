// SPDX-License-Identifier: Apache-2.0
// UDP between processes, and with addresses that could be forged.
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

#include "support/children.hpp"
#include "support/own_network.hpp"
#include "transport/udp_frame.hpp"

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;
namespace udp_frame = transport::udp_frame;

constexpr const char* far_address = "10.11.12.13";

TEST(udp, from_addresses_that_could_be_forged_is_challenged_first) {
  const int outcome = test::in_own_network([] {
    ASSERT_TRUE(test::add_address(far_address));
    auto listener = or_exit(listen("udp://0.0.0.0:0"));
    const std::string text = listener.address().text();
    const std::string port = text.substr(text.rfind(':'));
    std::jthread client{[&] {
      auto channel = or_exit(connect("udp://" + std::string{far_address} + port, 20s));
      or_exit(channel.send(as_bytes("it is me"), 20s));
      EXPECT_EQ(or_exit(channel.receive(20s)).text(), "welcome");
    }};
    auto server = or_exit(listener.accept(20s));
    EXPECT_EQ(or_exit(server.receive(20s)).text(), "it is me");
    or_exit(server.send(as_bytes("welcome"), 20s));
  });
  if (outcome == test::no_network) GTEST_SKIP() << "only root can make a network of its own";
  EXPECT_EQ(outcome, 0);
}

TEST(udp, floods_of_forged_hellos_get_no_room_and_no_more_than_they_sent) {
  const int outcome = test::in_own_network([] {
    ASSERT_TRUE(test::add_address(far_address));
    auto listener = or_exit(listen("udp://" + std::string{far_address} + ":0"));
    const std::string text = listener.address().text();
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(text.substr(text.rfind(':') + 1))));
    ::inet_pton(AF_INET, far_address, &to.sin_addr);
    const Fd forger = Fd::adopt(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ASSERT_EQ(::connect(forger.native(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    std::size_t said = 0;
    for (std::uint64_t i = 0; i < 500; ++i) {
      const auto hello = udp_frame::pack({.type = udp_frame::Type::hello, .session = i}, i * 7919);
      ASSERT_GT(::send(forger.native(), hello.data(), hello.size(), 0), 0);
      said += hello.size();
    }
    auto nobody = listener.accept(20ms);
    ASSERT_FALSE(nobody);
    EXPECT_EQ(nobody.error().kind(), ErrorKind::timed_out);
    std::size_t heard = 0;
    char buffer[1000];
    ssize_t got = 0;
    int answers = 0;
    while ((got = ::recv(forger.native(), buffer, sizeof buffer, 0)) > 0) {
      heard += static_cast<std::size_t>(got);
      ++answers;
    }
    EXPECT_GT(answers, 0);
    EXPECT_LE(heard, said) << "nobody is flooded with our answers";
    EXPECT_FALSE(listener.try_accept());
  });
  if (outcome == test::no_network) GTEST_SKIP() << "only root can make a network of its own";
  EXPECT_EQ(outcome, 0);
}

TEST(udp, to_a_far_address_where_nobody_answers_times_out_and_to_no_port_is_not_found) {
  const int outcome = test::in_own_network([] {
    ASSERT_TRUE(test::add_address(far_address));
    const std::string far = "udp://" + std::string{far_address};
    auto refused = connect(far + ":9", 20s);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::not_found) << refused.error();
    auto busy = or_exit(listen(far + ":4711"));  // it never accepts
    auto silent = connect(far + ":4711", 150ms);
    ASSERT_FALSE(silent);
    EXPECT_EQ(silent.error().kind(), ErrorKind::timed_out) << silent.error();
  });
  if (outcome == test::no_network) GTEST_SKIP() << "only root can make a network of its own";
  EXPECT_EQ(outcome, 0);
}

TEST(udp, example_sends_readings_and_its_receiver_tells_what_was_lost) {
  std::string at;
  {
    auto mine = or_throw(listen("udp://127.0.0.1:0"));
    at = mine.address().text();
  }
  auto receiver = test::Child::start("udp", {"receive", at});
  ASSERT_EQ(receiver.read_line(), "listening");
  auto sender = test::Child::start("udp", {"send", at, "5"});
  for (const char* reading : {"reading 0", "reading 1", "reading 2", "reading 3", "reading 4"}) {
    EXPECT_EQ(receiver.read_line(), reading);
  }
  EXPECT_EQ(receiver.read_line(), "0 lost, 0 reordered, 0 duplicated");
  EXPECT_EQ(sender.wait(), 0);
  EXPECT_EQ(receiver.wait(), 0);
}

}  // namespace

// SPDX-License-Identifier: Apache-2.0
//
// `bulkhead relay` as a user runs it, between real processes over pairs of mechanisms.
#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <bulkhead/bulkhead.hpp>

#include "support/census.hpp"
#include "support/children.hpp"
#include "support/watchdog.hpp"

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;
using test::Child;

bool command_is_built() { return ::access(test::program_path("bulkhead").c_str(), X_OK) == 0; }

/// An address of this mechanism for this test alone.
std::string address_of(Mechanism mechanism, const std::string& name) {
  if (mechanism == Mechanism::shm) return "shm:relay-" + name;
  if (mechanism == Mechanism::tcp) {
    // All of 127/8 is this machine: one for each process, so that no other has the port.
    const auto pid = static_cast<unsigned>(::getpid());
    return "tcp://127." + std::to_string(pid >> 16 & 63) + "." + std::to_string(pid >> 8 & 255) +
           "." + std::to_string(1 + pid % 254) + ":" + std::to_string(21000 + name.size());
  }
  if (mechanism == Mechanism::udp) return "udp://127.0.0.1:0";
  if (mechanism == Mechanism::posix_mq) return "mq:///relay-" + name + std::to_string(::getpid());
  if (mechanism == Mechanism::sysv_mq) {
    return "sysv://" + std::to_string(0x63000000 + ::getpid() * 32 + static_cast<int>(name.size()));
  }
  return std::string{to_string(mechanism)} + "://" + test::temporary_folder().string() + "/" + name;
}

struct Pair {
  Mechanism near;
  Mechanism far;
};

/// The command between two addresses; a server of the test's own listens at the second.
struct Relayed {
  explicit Relayed(Pair pair, std::vector<std::string> options = {})
      : near(address_of(pair.near, "here")),
        server(or_throw(listen(address_of(pair.far, "far")))),
        far(server.address().text()),
        words(Fd::adopt(::memfd_create("words", MFD_CLOEXEC))) {
    options.insert(options.begin(), {"relay", near, far});
    command.emplace(Child::start("bulkhead", options, {}, words));
    command->close_input();
    EXPECT_EQ(command->read_line(), "listening at " + near);
  }
  Relayed(const Relayed&) = delete;
  Relayed& operator=(const Relayed&) = delete;

  /// Killed, it would leave its name.
  ~Relayed() {
    if (command) end(SIGTERM);
  }

  /// A client at the first address, and what the relay made of it at the second.
  std::pair<Channel, Channel> joined() {
    Channel client = or_throw(connect(near, 20s));
    return {std::move(client), or_throw(server.accept(20s))};
  }

  /// What it has said on its standard error.
  std::string said() const {
    std::string text(4096, '\0');
    const auto size = ::pread(words.native(), text.data(), text.size(), 0);
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return text;
  }

  /// Asks it to end; its exit status.
  int end(int signal) {
    ::kill(command->pid(), signal);
    const test::Waiting waiting{"the relay's end"};
    const int status = command->wait();
    command.reset();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::string near;
  Listener server;
  std::string far;
  Fd words;
  std::optional<Child> command;
};

class relay : public testing::TestWithParam<Pair> {
 protected:
  void SetUp() override {
    if (!command_is_built()) GTEST_SKIP() << "the command is not built";
    for (const Mechanism side : {GetParam().near, GetParam().far}) {
      if (!capabilities(side).unrelated) GTEST_SKIP() << to_string(side) << " is not in this build";
    }
  }
};
INSTANTIATE_TEST_SUITE_P(pairs, relay,
                         testing::Values(Pair{Mechanism::unix_socket, Mechanism::shm},
                                         Pair{Mechanism::shm, Mechanism::unix_socket},
                                         Pair{Mechanism::shm, Mechanism::shm},
                                         Pair{Mechanism::fifo, Mechanism::tcp},
                                         Pair{Mechanism::tcp, Mechanism::fifo},
                                         Pair{Mechanism::tcp, Mechanism::unix_socket},
                                         Pair{Mechanism::shm, Mechanism::tcp}),
                         [](const auto& chosen) {
                           return std::string{to_string(chosen.param.near)} + "_to_" +
                                  std::string{to_string(chosen.param.far)};
                         });

TEST_P(relay, keeps_order_and_boundaries_both_ways_at_all_sizes) {
  Relayed run{GetParam()};
  auto [client, service] = run.joined();
  std::mt19937 random{1};
  std::vector<std::byte> bytes(3 << 20);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  for (const std::size_t size : {0UL, 1UL, 200UL, 65'536UL, 300'000UL, 3UL << 20}) {
    const Bytes message = Bytes{bytes}.first(size);
    for (auto [from, to] : {std::pair{&client, &service}, {&service, &client}}) {
      or_throw(from->send(message, 20s));
      const Message got = or_throw(to->receive(20s));
      ASSERT_EQ(got.size(), size);
      EXPECT_TRUE(std::equal(message.begin(), message.end(), got.bytes().begin())) << size;
    }
  }
  for (int i = 0; i < 1000; ++i) or_throw(client.send(as_bytes(std::to_string(i)), 20s));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(or_throw(service.receive(20s)).text(), std::to_string(i));
  }
  EXPECT_EQ(run.end(SIGTERM), 0);
}

TEST_P(relay, passes_handles_on_where_both_sides_have_them) {
  if (!capabilities(GetParam().near).handles || !capabilities(GetParam().far).handles) {
    GTEST_SKIP() << "one of the two carries none";
  }
  Relayed run{GetParam()};
  auto [client, service] = run.joined();
  Region region = or_throw(Region::create(4096));
  region.mutable_bytes()[0] = std::byte{42};
  Message message{as_bytes("look")};
  message.handles().push_back(or_throw(std::move(region).into_handle()));
  or_throw(client.send(message, 20s));
  Message got = or_throw(service.receive(20s));
  ASSERT_EQ(got.handles().size(), 1u);
  const auto same = or_throw(Region::from_handle(std::move(got.handles()[0]), Trust::equal));
  EXPECT_EQ(same.bytes()[0], std::byte{42});
}

TEST_P(relay, ends_a_connection_with_handles_that_the_other_side_cannot_carry) {
  if (capabilities(GetParam().far).handles || !capabilities(GetParam().near).handles) {
    GTEST_SKIP() << "of one side that has them to one that has not";
  }
  Relayed run{GetParam()};
  auto [client, service] = run.joined();
  Message message{as_bytes("look")};
  message.handles().push_back(or_throw(or_throw(Region::create(4096)).into_handle()));
  or_throw(client.send(message, 20s));
  EXPECT_FALSE(service.receive(20s));
  EXPECT_FALSE(client.receive(20s));
}

TEST_P(relay, passes_an_end_on_after_all_that_came_before_it) {
  Relayed run{GetParam()};
  for (const bool near_ends : {true, false}) {
    auto ends = run.joined();
    Channel& one = near_ends ? ends.first : ends.second;
    Channel& other = near_ends ? ends.second : ends.first;
    for (int i = 0; i < 100; ++i) or_throw(one.send(as_bytes("last words"), 20s));
    one.close();
    for (int i = 0; i < 100; ++i) EXPECT_EQ(or_throw(other.receive(20s)).text(), "last words");
    EXPECT_EQ(other.receive(20s).error(), ErrorKind::closed) << near_ends;
  }
}

TEST_P(relay, passes_a_death_on) {
  Relayed run{GetParam()};
  auto client = Child::start("channel_peer", {"stay", run.near});
  ASSERT_EQ(client.read_line(), "ready");
  Channel service = or_throw(run.server.accept(20s));
  client.kill();
  client.wait();
  EXPECT_FALSE(service.receive(20s));
}

TEST_P(relay, passes_the_death_of_the_far_side_on_and_goes_on) {
  Relayed run{GetParam()};
  run.server.close();
  auto service = Child::start("channel_peer", {"stay", run.far, "0", "listens"});
  ASSERT_EQ(service.read_line(), "ready");
  Channel client = or_throw(connect(run.near, 20s));
  ASSERT_EQ(service.read_line(), "ready") << "it has the client";
  service.kill();
  service.wait();
  const test::Waiting waiting{"the death of the far side"};
  EXPECT_FALSE(client.receive(20s));
  EXPECT_THAT(run.said(), testing::HasSubstr("died"));
  run.server = or_throw(listen(run.far));
  auto [next, again] = run.joined();
  or_throw(next.send(as_bytes("still here"), 20s));
  EXPECT_EQ(or_throw(again.receive(20s)).text(), "still here");
  EXPECT_EQ(run.end(SIGTERM), 0);
}

TEST_P(relay, that_is_killed_is_a_death_to_both_sides_and_its_name_is_free) {
  Relayed run{GetParam()};
  auto [client, service] = run.joined();
  or_throw(client.send(as_bytes("through"), 20s));
  EXPECT_EQ(or_throw(service.receive(20s)).text(), "through");
  run.command->kill();
  run.command->wait();
  run.command.reset();
  EXPECT_EQ(client.receive(20s).error(), ErrorKind::peer_died);
  EXPECT_EQ(service.receive(20s).error(), ErrorKind::peer_died);
  EXPECT_TRUE(listen(run.near)) << "taken over from the dead";
}

TEST_P(relay, makes_a_slow_side_slow_the_other) {
  Relayed run{GetParam()};
  auto [client, service] = run.joined();
  const std::vector<std::byte> message(60'000);
  int sent = 0;
  // Nobody reads: what fits under way is all that goes. Without back-pressure this would not end.
  while (client.send(message, 500ms)) ASSERT_LT(++sent, 2000);
  ASSERT_GT(sent, 0);
  for (int i = 0; i < sent; ++i) ASSERT_EQ(or_throw(service.receive(20s)).size(), 60'000u);
  or_throw(client.send(as_bytes("on it goes"), 20s));
  EXPECT_EQ(or_throw(service.receive(20s)).text(), "on it goes");
}

TEST_P(relay, serves_many_clients_apart) {
  Relayed run{GetParam()};
  std::vector<std::pair<Channel, Channel>> all;
  for (int i = 0; i < 32; ++i) all.push_back(run.joined());
  for (std::size_t i = 0; i < all.size(); ++i) {
    or_throw(all[i].first.send(as_bytes("from " + std::to_string(i)), 20s));
  }
  for (std::size_t i = all.size(); i-- > 0;) {
    EXPECT_EQ(or_throw(all[i].second.receive(20s)).text(), "from " + std::to_string(i));
  }
  EXPECT_EQ(run.end(SIGINT), 0);
  for (auto& [client, service] : all) {
    EXPECT_EQ(client.receive(20s).error(), ErrorKind::closed);
    EXPECT_EQ(service.receive(20s).error(), ErrorKind::closed);
  }
}

TEST_P(relay, ends_a_connection_whose_message_is_too_large_and_serves_on) {
  Relayed run{GetParam(), {"--max-message", "1000"}};
  auto [client, service] = run.joined();
  or_throw(client.send(std::vector<std::byte>(1000), 20s));
  EXPECT_EQ(or_throw(service.receive(20s)).size(), 1000u);
  static_cast<void>(client.send(std::vector<std::byte>(1001), 20s));
  EXPECT_FALSE(client.receive(20s));
  EXPECT_FALSE(service.receive(20s));
  auto [next, again] = run.joined();
  or_throw(next.send(as_bytes("still here"), 20s));
  EXPECT_EQ(or_throw(again.receive(20s)).text(), "still here");
}

TEST_P(relay, with_nobody_at_the_far_side_closes_the_client_and_goes_on) {
  Relayed run{GetParam()};
  run.server.close();
  Channel client = or_throw(connect(run.near, 20s));
  EXPECT_FALSE(client.receive(20s));
  run.server = or_throw(listen(run.far));
  auto [next, service] = run.joined();
  or_throw(next.send(as_bytes("now"), 20s));
  EXPECT_EQ(or_throw(service.receive(20s)).text(), "now");
}

TEST_P(relay, joins_two_servers) {
  Listener one = or_throw(listen(address_of(GetParam().near, "first")));
  Listener two = or_throw(listen(address_of(GetParam().far, "other-end")));
  auto command =
      Child::start("bulkhead", {"relay", "--join", one.address().text(), two.address().text()});
  Channel first = or_throw(one.accept(20s));
  Channel second = or_throw(two.accept(20s));
  or_throw(first.send(as_bytes("across"), 20s));
  EXPECT_EQ(or_throw(second.receive(20s)).text(), "across");
  second.close();
  EXPECT_EQ(first.receive(20s).error(), ErrorKind::closed);
  const test::Waiting waiting{"the relay's end"};
  EXPECT_EQ(command.wait(), 0);
}

class relay_of_priorities : public testing::TestWithParam<Pair> {};
INSTANTIATE_TEST_SUITE_P(pairs, relay_of_priorities,
                         testing::Values(Pair{Mechanism::posix_mq, Mechanism::sysv_mq},
                                         Pair{Mechanism::sysv_mq, Mechanism::posix_mq}),
                         [](const auto& chosen) {
                           return std::string{to_string(chosen.param.near)} + "_to_" +
                                  std::string{to_string(chosen.param.far)};
                         });

TEST_P(relay_of_priorities, keeps_them_and_what_is_urgent_overtakes) {
  if (!command_is_built()) GTEST_SKIP() << "the command is not built";
  Relayed run{GetParam()};
  auto [client, service] = run.joined();
  or_throw(client.send(as_bytes("through"), 20s));
  EXPECT_EQ(or_throw(service.receive(20s)).text(), "through");
  // What comes while the relay stands still waits in the queue, the most urgent first.
  ::kill(run.command->pid(), SIGSTOP);
  for (const unsigned priority : {0u, 7u, 31u, 7u, 1u}) {
    Message message{as_bytes("priority " + std::to_string(priority))};
    message.set_priority(priority);
    or_throw(client.send(message, 20s));
  }
  ::kill(run.command->pid(), SIGCONT);
  for (const unsigned priority : {31u, 7u, 7u, 1u, 0u}) {
    const Message got = or_throw(service.receive(20s));
    EXPECT_EQ(got.priority(), priority);
    EXPECT_EQ(got.text(), "priority " + std::to_string(priority));
  }
  // One of many pieces, the other way.
  const std::vector<std::byte> large(200'000, std::byte{7});
  Message message{large};
  message.set_priority(9);
  std::jthread sender{[&, &from = service] { or_throw(from.send(message, 20s)); }};
  const Message got = or_throw(client.receive(20s));
  EXPECT_EQ(got.priority(), 9u);
  EXPECT_EQ(got.size(), large.size());
}

TEST(relay_to_datagrams, carries_what_fits_and_tells_of_what_does_not) {
  if (!command_is_built()) GTEST_SKIP() << "the command is not built";
  Relayed run{{Mechanism::unix_socket, Mechanism::udp}};
  {
    auto [client, service] = run.joined();
    or_throw(client.send(as_bytes("fits"), 20s));
    EXPECT_EQ(or_throw(service.receive(20s)).text(), "fits");
    or_throw(service.send(as_bytes("and back"), 20s));
    EXPECT_EQ(or_throw(client.receive(20s)).text(), "and back");
    or_throw(client.send(std::vector<std::byte>(100'000), 20s));
    EXPECT_FALSE(client.receive(20s));
    EXPECT_FALSE(service.receive(20s));
  }
  EXPECT_THAT(run.said(), testing::HasSubstr("100000 bytes"));
  auto [next, again] = run.joined();
  or_throw(next.send(as_bytes("still here"), 20s));
  EXPECT_EQ(or_throw(again.receive(20s)).text(), "still here");
  EXPECT_EQ(run.end(SIGTERM), 0);
}

TEST(relay_command, says_what_is_wrong_with_an_address) {
  if (!command_is_built()) GTEST_SKIP() << "the command is not built";
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong{
      {{"nonsense", "shm:x"}, "nonsense"},
      {{"shm:a/b", "shm:x"}, "shm:a/b"},
      {{"fifo://relative", "shm:x"}, "write fifo:///path"},
      {{"unix:///nowhere/at/all", "shm:x"}, "/nowhere/at/all"},
      {{"--join", "shm:nobody-is-here", "shm:x"}, "nobody listens"}};
  for (const auto& [addresses, words] : wrong) {
    std::vector<std::string> arguments{"relay"};
    arguments.insert(arguments.end(), addresses.begin(), addresses.end());
    const Fd said = Fd::adopt(::memfd_create("words", MFD_CLOEXEC));
    auto command = Child::start("bulkhead", arguments, {}, said);
    const test::Waiting waiting{"the relay's end"};
    const int status = command.wait();
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << words;
    std::string text(4096, '\0');
    text.resize(static_cast<std::size_t>(::pread(said.native(), text.data(), text.size(), 0)));
    EXPECT_THAT(text,
                testing::AllOf(testing::StartsWith("bulkhead relay: "), testing::HasSubstr(words)));
  }
}

}  // namespace

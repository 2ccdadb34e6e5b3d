// SPDX-License-Identifier: Apache-2.0
//
// What is special about System V message queues: priorities, keys, and that nothing of them stays
// in the system. What all mechanisms do is in tests/conformance.
#include "transport/sysv_mq.hpp"

#include <array>
#include <cstring>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>
#include <sstream>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <thread>
#include <unistd.h>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

#include "os/socket.hpp"
#include "support/census.hpp"
#include "support/children.hpp"
#include "transport/sysv_mq.hpp"
#include "transport/sysv_mq_queue.hpp"
#include "transport/unix_frame.hpp"

namespace bulkhead::transport {
namespace {

using namespace std::chrono_literals;

Message of(unsigned priority, const std::string& text) {
  Message message{as_bytes(text)};
  message.set_priority(priority);
  return message;
}

key_t own_key(int number) { return 0x50000000 + (::getpid() << 8) + number; }

std::string address_of(key_t key) { return "sysv://" + std::to_string(key); }

/// The queues that `pid` has sent through or received from.
std::vector<int> queues_of(pid_t pid) {
  std::ifstream file{"/proc/sysvipc/msg"};
  std::vector<int> found;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream fields{line};
    long key = 0, id = 0, mode = 0, bytes = 0, count = 0, sent = 0, received = 0;
    fields >> key >> id >> mode >> bytes >> count >> sent >> received;
    if (sent == pid || received == pid) found.push_back(static_cast<int>(id));
  }
  return found;
}

TEST(sysv_mq, gives_the_highest_priority_first_and_keeps_the_order_of_each) {
  auto [here, there] = or_throw(pair(Mechanism::sysv_mq, {.needs = {.priority = true}}));
  for (const auto& [priority, text] : {std::pair{0u, "a"}, {5u, "b"}, {31u, "c"}, {5u, "d"}}) {
    ASSERT_TRUE(here.send(of(priority, text), 5s));
  }
  for (const auto& [priority, text] : {std::pair{31u, "c"}, {5u, "b"}, {5u, "d"}, {0u, "a"}}) {
    auto got = there.receive(5s);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->text(), text);
    EXPECT_EQ(got->priority(), priority);
  }
}

TEST(sysv_mq, lets_an_urgent_message_of_many_units_overtake_one_that_timed_out) {
  auto [here, there] = or_throw(pair(Mechanism::sysv_mq));
  const std::string large(1'000'000, 'x');
  auto cut_short = here.send(as_bytes(large), 10ms);
  ASSERT_FALSE(cut_short);
  EXPECT_EQ(cut_short.error().kind(), ErrorKind::timed_out);
  std::jthread sender{[&, &from = here] {
    EXPECT_TRUE(from.send(of(9, large), 20s));
    EXPECT_TRUE(from.send(of(0, "last"), 20s));
  }};
  auto urgent = there.receive(20s);
  ASSERT_TRUE(urgent);
  EXPECT_EQ(urgent->size(), large.size());
  auto last = there.receive(20s);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->text(), "last");
}

TEST(sysv_mq, leaves_no_queue_behind_whoever_closes_first) {
  for (int first = 0; first < 2; ++first) {
    auto [here, there] = or_throw(pair(Mechanism::sysv_mq));
    ASSERT_TRUE(here.send(as_bytes("forth"), 5s));
    ASSERT_TRUE(there.send(as_bytes("back"), 5s));
    ASSERT_TRUE(there.receive(5s));
    EXPECT_EQ(queues_of(::getpid()).size(), 2u);
    (first == 0 ? here : there).close();
    (first == 0 ? there : here).close();
    EXPECT_THAT(queues_of(::getpid()), testing::IsEmpty());
  }
}

TEST(sysv_mq, leaves_no_queue_behind_when_its_peer_never_looked) {
  {
    auto [here, there] = or_throw(pair(Mechanism::sysv_mq));
    ASSERT_TRUE(here.send(as_bytes("unread"), 5s));
    here.close();
  }
  EXPECT_THAT(queues_of(::getpid()), testing::IsEmpty());
}

TEST(sysv_mq, removes_the_queues_of_a_peer_that_was_killed) {
  auto ends = or_throw(pair(Mechanism::sysv_mq));
  std::optional<Handle> handle = or_throw(std::move(ends.second).into_handle());
  auto child = test::Child::start("channel_peer",
                                  {"echo", std::to_string(static_cast<int>(Mechanism::sysv_mq))},
                                  {handle->fd()});
  handle.reset();
  ASSERT_TRUE(ends.first.send(as_bytes("hello"), 5s));
  ASSERT_TRUE(ends.first.receive(5s));
  child.kill();
  child.wait();
  ends.first.close();
  EXPECT_THAT(queues_of(child.pid()), testing::IsEmpty());
}

TEST(sysv_mq, does_not_wait_for_a_queue_that_somebody_removed) {
  auto [here, there] = or_throw(pair(Mechanism::sysv_mq));
  ASSERT_TRUE(here.send(as_bytes("x"), 5s));
  ASSERT_TRUE(there.receive(5s));
  for (const int id : queues_of(::getpid())) ::msgctl(id, IPC_RMID, nullptr);
  const auto got = there.receive(5s);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind(), ErrorKind::corrupt);
}

TEST(sysv_mq, reads_a_key_in_every_way_that_it_is_written) {
  const auto path = (test::temporary_folder() / "key").string();
  std::ofstream{path} << "";
  for (const auto& [text, key] :
       {std::pair<std::string, key_t>{"1234", 1234}, {"0x4d2", 1234}, {path + "?id=7", 0}}) {
    const auto found = sysv_mq::key_of(text);
    ASSERT_TRUE(found) << text;
    EXPECT_EQ(*found, key != 0 ? key : ::ftok(path.c_str(), 7));
  }
  for (const char* bad : {"", "0", "12x", "0x", "-1", "4294967296", "/no/such/file", "12?id=1"}) {
    const auto refused = sysv_mq::key_of(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().kind(), ErrorKind::invalid) << bad;
  }
}

TEST(sysv_mq, leaves_a_queue_alone_that_no_listener_made) {
  const key_t key = own_key(1);
  const int id = ::msgget(key, IPC_CREAT | IPC_EXCL | 0600);
  ASSERT_GE(id, 0);
  const auto refused = bulkhead::listen(address_of(key));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::exists);
  EXPECT_EQ(bulkhead::connect(address_of(key), 1s).error().kind(), ErrorKind::not_found);
  EXPECT_EQ(::msgget(key, 0), id);
  ::msgctl(id, IPC_RMID, nullptr);
}

TEST(sysv_mq, takes_over_the_key_of_a_listener_that_was_killed) {
  const key_t key = own_key(2);
  auto holder = test::Child::start("channel_peer", {"hold_a_name", address_of(key)});
  ASSERT_EQ(holder.read_line(), "ready");
  const int claimed = ::msgget(key, 0);
  EXPECT_GE(claimed, 0) << "the key is taken for everybody";
  holder.kill();
  holder.wait();
  EXPECT_EQ(::msgget(key, 0), claimed);
  auto listener = bulkhead::listen(address_of(key));
  ASSERT_TRUE(listener) << listener.error().sentence();
  EXPECT_NE(::msgget(key, 0), claimed);
  listener->close();
  EXPECT_EQ(::msgget(key, 0), -1);
}

TEST(sysv_mq, calls_a_peer_that_breaks_the_protocol_corrupt) {
  using unix_frame::Header;
  const auto mechanism = static_cast<std::uint8_t>(Mechanism::sysv_mq);
  const std::array<std::string, 4> lies{"x", std::string(8, '\0'), std::string(8, '\xff'),
                                        std::string("\1\0\0\0\5\0\0\0hello", 13)};
  for (const auto& one : lies) {
    auto [liar, ours] = or_throw(os::socket_pair());
    auto channel = or_throw(Channel::from_handle(
        Handle{std::move(ours), Handle::Kind::channel, mechanism}, Trust::untrusted));
    ASSERT_TRUE(os::send_packet(liar, as_bytes(one)));
    const auto got = channel.receive(5s);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind(), ErrorKind::corrupt) << got.error().sentence();
  }
}

TEST(sysv_mq, reads_no_more_announcements_than_keys_are_tried) {
  const auto mechanism = static_cast<std::uint8_t>(Mechanism::sysv_mq);
  auto [liar, ours] = or_throw(os::socket_pair());
  auto channel = or_throw(Channel::from_handle(
      Handle{std::move(ours), Handle::Kind::channel, mechanism}, Trust::untrusted));
  const sysv_mq::Announcement announcement{.key = own_key(9), .pid = ::getpid()};
  const unix_frame::Header header{
      .type = sysv_mq::announcement_packet, .handles = 0, .payload = sizeof announcement};
  std::string packet{reinterpret_cast<const char*>(&header), sizeof header};
  packet.append(reinterpret_cast<const char*>(&announcement), sizeof announcement);
  for (unsigned i = 0; i < sysv_mq::most_keys_tried; ++i) {
    ASSERT_TRUE(os::send_packet(liar, as_bytes(packet)));
  }
  EXPECT_EQ(channel.try_receive().error().kind(), ErrorKind::empty);
  ASSERT_TRUE(os::send_packet(liar, as_bytes(packet)));
  EXPECT_EQ(channel.try_receive().error().kind(), ErrorKind::corrupt);
}

TEST(sysv_mq, is_not_for_other_users) {
  const auto refused =
      bulkhead::listen(address_of(own_key(3)), {.allow = ListenOptions::Allow::anyone});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
}

}  // namespace
}  // namespace bulkhead::transport

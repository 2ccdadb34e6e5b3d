// SPDX-License-Identifier: Apache-2.0
//
// Peers that lie about moving from the socket to memory, or in the packets before it. Honest ones:
// moving_test.cpp; those that lie in memory: hostile_peer_test.cpp.
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "transport/shm/hostile_peer.hpp"

namespace bulkhead::transport::shm {
namespace {

using namespace std::chrono_literals;

const ShmSetup unable{.no_memory = true};
const std::vector<std::byte> some_bytes(100);

/// What every later call answers, whatever it was that broke the link.
void expect_corrupt(Link& victim, const std::string& what) {
  Message message;
  const auto received = victim.receive(message, 5s);
  ASSERT_FALSE(received.has_value()) << what;
  EXPECT_EQ(received.error(), ErrorKind::corrupt) << what << ": " << received.error();
  EXPECT_EQ(victim.receive(message, no_wait).error(), ErrorKind::corrupt) << what;
  EXPECT_EQ(victim.send(as_bytes("x"), {}, never).error(), ErrorKind::corrupt) << what;
}

Bytes raw(const auto& value) { return std::as_bytes(std::span{&value, 1}); }

PacketHead head(std::uint16_t kind, std::uint16_t version = protocol_version) {
  return {.magic = magic, .kind = kind, .version = version};
}

TEST(shm_moving_hostile_peer, that_says_it_moved_when_it_could_not_is_corrupt) {
  {
    HostilePeer peer;
    peer.greet_without_memory();
    ASSERT_TRUE(Control{peer.control()}.send_moved().has_value());
    expect_corrupt(peer.victim(), "it has no memory");
  }
  {
    HostilePeer peer{{.trust = Trust::untrusted}, unable};
    peer.greet();
    expect_corrupt(peer.victim(), "the victim has none, and never said that it mapped");
  }
  {
    HostilePeer peer;
    peer.greet_on_socket();
    const std::uint64_t total = 100;
    ASSERT_TRUE(
        Control{peer.control()}
            .send_record({.size = 16, .flags = RecordHeader::more}, raw(total), raw(total), {})
            .has_value());
    ASSERT_TRUE(Control{peer.control()}.send_moved().has_value());
    expect_corrupt(peer.victim(), "in the middle of a message");
  }
  {
    HostilePeer peer;
    peer.greet();
    ASSERT_TRUE(Control{peer.control()}.send_moved().has_value());
    peer.put(0, {.size = 0, .flags = RecordHeader::handles});
    peer.words().tail = 8;
    expect_corrupt(peer.victim(), "twice");
  }
}

TEST(shm_moving_hostile_peer, that_never_maps_or_takes_that_back_loses_nothing_but_speed) {
  HostilePeer peer;
  peer.greet_on_socket();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(peer.victim().send(some_bytes, {}, never).has_value());
  }
  EXPECT_FALSE(shm_ways(peer.victim()).sends_in_memory);
  peer.words().mapped = 0xffffffff;
  ASSERT_TRUE(peer.victim().send(some_bytes, {}, never).has_value());
  EXPECT_FALSE(shm_ways(peer.victim()).sends_in_memory);
  peer.words().mapped = Mapped::yes;
  ASSERT_TRUE(peer.victim().send(some_bytes, {}, never).has_value());
  EXPECT_TRUE(shm_ways(peer.victim()).sends_in_memory);
  for (const std::uint32_t later : {Mapped::not_yet, Mapped::never_will_be}) {
    peer.words().mapped = later;
    ASSERT_TRUE(peer.victim().send(some_bytes, {}, never).has_value());
    EXPECT_TRUE(shm_ways(peer.victim()).sends_in_memory);
  }
}

TEST(shm_moving_hostile_peer, that_will_never_map_is_spoken_to_over_the_socket_for_good) {
  HostilePeer peer;
  peer.greet_on_socket();
  Message message;
  EXPECT_EQ(peer.victim().receive(message, no_wait).error(), ErrorKind::empty);
  EXPECT_TRUE(peer.victim().capabilities().in_place);
  peer.words().mapped = Mapped::never_will_be;
  EXPECT_FALSE(peer.victim().capabilities().in_place);
  ASSERT_TRUE(peer.victim().send(some_bytes, {}, never).has_value());
  EXPECT_TRUE(shm_ways(peer.victim()).stays_on_socket);
  peer.words().mapped = Mapped::yes;
  ASSERT_TRUE(peer.victim().send(some_bytes, {}, never).has_value());
  EXPECT_FALSE(shm_ways(peer.victim()).sends_in_memory);
  ASSERT_TRUE(Control{peer.control()}.send_moved().has_value());
  expect_corrupt(peer.victim(), "it moves to memory that we have dropped");
}

TEST(shm_moving_hostile_peer, that_contradicts_itself_in_its_hello_is_corrupt) {
  const Fd zero = std::move(*Fd::duplicate(FdView{0}));
  const std::vector<int> three(3, zero.native());
  Hello hello{.head = head(PacketHead::hello),
              .layout_hash = layout_hash(ring_offset()),
              .capacity = 0,
              .most_handles = 16,
              .zero = 0};
  {
    HostilePeer peer;
    ASSERT_TRUE(os::send_packet(peer.control(), raw(hello), three).has_value());
    expect_corrupt(peer.victim(), "no memory, and descriptors of it");
  }
  hello.capacity = 65536;
  {
    HostilePeer peer;
    ASSERT_TRUE(os::send_packet(peer.control(), raw(hello)).has_value());
    expect_corrupt(peer.victim(), "memory without descriptors");
  }
  hello.capacity = 0;
  {
    HostilePeer peer;
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(os::send_packet(peer.control(), raw(hello)).has_value());
    }
    expect_corrupt(peer.victim(), "twice");
  }
}

TEST(shm_moving_hostile_peer, whose_packets_are_no_records_is_corrupt_and_each_descriptor_closed) {
  std::mt19937 bits{23};
  const auto random = [&] { return static_cast<std::uint16_t>(bits()); };
  const Fd zero = std::move(*Fd::duplicate(FdView{0}));
  for (int i = 0; i < 2'000; ++i) {
    HostilePeer peer{{.trust = Trust::untrusted, .max_message_bytes = 1 << 20}};
    peer.greet_without_memory();
    Result<void> received;
    Message message;
    // Nearly right ones, until one is wrong.
    for (int k = 0; k < 50 && (received || received.error() == ErrorKind::empty); ++k) {
      const std::vector<int> fds(random() % 8 == 0 ? random() % 20 : 0, zero.native());
      std::vector<std::byte> bytes(sizeof(RecordPacket) + random() % 200);
      for (auto& byte : bytes) byte = static_cast<std::byte>(random() % 3);
      const std::size_t rest = bytes.size() - sizeof(RecordPacket);
      const std::size_t tags = 2 * fds.size();
      const bool odd = random() % 8 == 0;
      const auto size = static_cast<std::uint32_t>(odd || rest < tags ? random() : rest - tags);
      const std::uint32_t fitting = fds.empty() ? 0U : std::uint32_t{RecordHeader::handles};
      const std::uint32_t flags = random() % 4 == 0 ? random() % 20U : fitting;
      const auto kind = static_cast<std::uint16_t>(odd ? random() % 9 : int{PacketHead::record});
      const RecordPacket packet{
          .head = head(kind),
          .record = RecordHeader{.size = size, .flags = flags}.packed(),
          .handles = static_cast<std::uint32_t>(odd ? random() % 20 : fds.size()),
          .zero = 0};
      std::memcpy(bytes.data(), &packet, sizeof packet);
      if (odd) bytes.resize(1 + random() % bytes.size());
      ASSERT_TRUE(os::send_packet(peer.control(), bytes, fds).has_value());
      received = peer.victim().receive(message, no_wait);
    }
    if (received || received.error() == ErrorKind::empty) continue;
    EXPECT_TRUE(received.error() == ErrorKind::corrupt || received.error() == ErrorKind::closed ||
                received.error() == ErrorKind::incompatible)
        << received.error();
  }
}

TEST(shm_moving_hostile_peer, that_promises_much_on_the_socket_gets_memory_only_for_what_came) {
  ChannelOptions options{.trust = Trust::untrusted};
  options.max_message_bytes = std::size_t{1} << 45;
  HostilePeer peer{options};
  peer.greet_without_memory();
  const std::uint64_t total = std::uint64_t{1} << 44;
  ASSERT_TRUE(
      Control{peer.control()}
          .send_record({.size = 16, .flags = RecordHeader::more}, raw(total), raw(total), {})
          .has_value());
  Message message;
  EXPECT_EQ(peer.victim().receive(message, 1ms).error(), ErrorKind::timed_out);
}

TEST(shm_moving_hostile_peer, of_the_first_version_is_incompatible_in_words) {
  HostilePeer peer;
  const Hello first{.head = head(PacketHead::hello, 1),
                    .layout_hash = 1,
                    .capacity = 65536,
                    .most_handles = 16,
                    .zero = 0};
  ASSERT_TRUE(os::send_packet(peer.control(), raw(first)).has_value());
  Message message;
  const auto received = peer.victim().receive(message, never);
  EXPECT_EQ(received.error(), ErrorKind::incompatible);
  EXPECT_NE(received.error().sentence().find("version 1"), std::string::npos) << received.error();
}

}  // namespace
}  // namespace bulkhead::transport::shm

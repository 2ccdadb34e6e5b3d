// SPDX-License-Identifier: Apache-2.0
//
// The unix link against a peer that does not keep to the protocol: it speaks raw packets here, and
// the worst that it can do is lose its connection.
#include "transport/unix_socket.hpp"

#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <optional>
#include <random>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "os/poll.hpp"
#include "os/socket.hpp"
#include "transport/unix_frame.hpp"

namespace bulkhead::transport {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using unix_frame::Header;
using unix_frame::Hello;
using unix_frame::Type;

std::vector<std::byte> packet(Header header, Bytes payload = {}) {
  std::vector<std::byte> bytes(sizeof header + payload.size());
  std::memcpy(bytes.data(), &header, sizeof header);
  if (!payload.empty()) std::memcpy(bytes.data() + sizeof header, payload.data(), payload.size());
  return bytes;
}

Header header(Type type, std::size_t payload = 0, std::uint16_t handles = 0,
              std::uint8_t last = 0) {
  return {static_cast<std::uint8_t>(type), last, handles, static_cast<std::uint32_t>(payload)};
}

std::vector<std::byte> hello(std::uint32_t version = Hello{}.version) {
  Hello mine;
  mine.version = version;
  return packet(header(Type::hello, sizeof mine), std::as_bytes(std::span{&mine, 1}));
}

std::vector<std::byte> batch(const std::vector<std::string>& messages) {
  std::string bytes;
  for (const std::string& message : messages) {
    const auto size = static_cast<unix_frame::EntrySize>(message.size());
    bytes.append(reinterpret_cast<const char*>(&size), sizeof size).append(message);
  }
  return packet(header(Type::batch, bytes.size()), as_bytes(bytes));
}

/// A link, and the raw socket of its peer.
struct Meeting {
  std::unique_ptr<Link> link;
  Fd peer;

  explicit Meeting(ChannelOptions options = {}) {
    auto ends = or_throw(os::socket_pair());
    link = or_throw(adopt_unix(std::move(ends.first), options));
    peer = std::move(ends.second);
  }
  void say(Bytes bytes, std::span<const int> fds = {}) {
    const auto sent = os::send_packet(peer, bytes, fds);
    // Once the link has ended the peer is cut off: that is as it should be.
    EXPECT_TRUE(sent || sent.error() == ErrorKind::closed) << sent.error().sentence();
  }
  ErrorKind receive() {
    Message message;
    const auto got = link->receive(message, 20s);
    return got ? ErrorKind{} : got.error().kind();
  }
};

std::size_t open_descriptors() {
  std::size_t count = 0;
  for (int fd = 0; fd < 1024; ++fd) count += ::fcntl(fd, F_GETFD) != -1 ? 1 : 0;
  return count;
}

TEST(unix_protocol, of_another_version_is_incompatible_on_both_sides) {
  Meeting meeting;
  meeting.say(hello(1));
  Message message;
  const auto got = meeting.link->receive(message, 20s);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind(), ErrorKind::incompatible);
  EXPECT_NE(got.error().sentence().find("version 1"), std::string::npos);
  EXPECT_EQ(meeting.receive(), ErrorKind::incompatible) << "for ever";
  EXPECT_EQ(meeting.link->send(as_bytes("x"), {}, 20s).error().kind(), ErrorKind::incompatible);
  // What the other side needs to find out the same: our hello, and the end.
  std::array<std::byte, 64> buffer;
  auto ours = or_throw(os::receive_packet(meeting.peer, buffer, 0));
  ASSERT_EQ(ours.size, sizeof(Header) + sizeof(Hello));
  EXPECT_EQ(buffer[0], std::byte{static_cast<std::uint8_t>(Type::hello)});
  EXPECT_EQ(buffer[sizeof(Header) + offsetof(Hello, version)], std::byte{Hello{}.version});
  EXPECT_TRUE(or_throw(os::receive_packet(meeting.peer, buffer, 0)).closed);
}

TEST(unix_protocol, of_a_later_version_may_have_a_longer_hello) {
  Meeting meeting;
  Hello theirs;
  theirs.version = 7;
  std::vector<std::byte> longer(200);
  std::memcpy(longer.data(), &theirs, sizeof theirs);
  meeting.say(packet(header(Type::hello, longer.size()), longer));
  EXPECT_EQ(meeting.receive(), ErrorKind::incompatible);
}

TEST(unix_protocol, tells_a_refused_client) {
  Meeting meeting;
  refuse_unix(meeting.peer);
  EXPECT_EQ(meeting.receive(), ErrorKind::denied);
}

TEST(unix_protocol, broken_by_any_lie_is_corrupt_and_stays_so) {
  const Bytes four = as_bytes("four");
  const std::vector<std::vector<std::vector<std::byte>>> lies{
      {packet(header(Type::whole, 4), four)},                      // no hello
      {packet(header(Type::hello, 4), four)},                      // too short a hello
      {hello(), hello()},                                          // twice
      {hello(), packet(header(Type::whole, 5), four)},             // longer than it is
      {hello(), packet(header(Type::whole, 3), four)},             // shorter than it is
      {hello(), packet(header(Type::whole, 0xffffffff), four)},    //
      {hello(), packet(header(Type::whole, 4, 1), four)},          // handles that are not there
      {hello(), packet(header(Type::whole, 4, 0xffff), four)},     //
      {hello(), packet(header(Type{0}, 4), four)},                 // no such type
      {hello(), packet(header(Type{200}, 4), four)},               //
      {hello(), {std::byte{2}}},                                   // half a header
      {hello(), packet(header(Type::piece, 4), four),              //
       packet(header(Type::whole, 4), four)},                      // inside another message
      {hello(), packet(header(Type::refused))},                    // too late
      {batch({"one"})},                                            // no hello
      {hello(), packet(header(Type::batch))},                      // a batch of nothing
      {hello(), packet(header(Type::batch, 3), as_bytes("abc"))},  // less than a size
      {hello(), packet(header(Type::batch, 8), as_bytes("\5\0\0\0four"s))},    // longer than it
      {hello(), packet(header(Type::batch, 9), as_bytes("\4\0\0\0four\0"s))},  // half a size
      {hello(), packet(header(Type::batch, 8), as_bytes("\xff\xff\xff\xff..."s + "."))},
      {hello(), packet(header(Type::piece, 4), four), batch({"inside", "another"})},
  };
  for (std::size_t i = 0; i < lies.size(); ++i) {
    Meeting meeting;
    for (const auto& bytes : lies[i]) meeting.say(bytes);
    EXPECT_EQ(meeting.receive(), ErrorKind::corrupt) << "lie " << i;
    EXPECT_EQ(meeting.receive(), ErrorKind::corrupt) << "lie " << i;
    EXPECT_EQ(meeting.link->send(as_bytes("x"), {}, 20s).error().kind(), ErrorKind::corrupt) << i;
  }
}

TEST(unix_protocol, delivers_what_came_before_the_lie) {
  Meeting meeting;
  meeting.say(hello());
  meeting.say(packet(header(Type::whole, 4), as_bytes("true")));
  meeting.say(packet(header(Type::whole, 9), as_bytes("lie")));
  Message message;
  ASSERT_TRUE(meeting.link->receive(message, 20s));
  EXPECT_EQ(message.text(), "true");
  EXPECT_EQ(meeting.receive(), ErrorKind::corrupt);
}

TEST(unix_protocol, delivers_a_batch_one_by_one_and_shows_what_is_left_of_it) {
  Meeting meeting;
  meeting.say(hello());
  const std::string long_one(1'000, 'l');
  meeting.say(batch({"first", "", long_one, "last"}));
  const FdView readable = or_throw(meeting.link->readable());
  Message message;
  for (const std::string& text : {"first"s, ""s, long_one, "last"s}) {
    EXPECT_NE(or_throw(os::poll_one(readable, POLLIN, no_wait)), 0);
    ASSERT_TRUE(meeting.link->receive(message, no_wait));
    EXPECT_EQ(message.text(), text);
  }
  EXPECT_EQ(or_throw(os::poll_one(readable, POLLIN, no_wait)), 0);
  EXPECT_EQ(meeting.link->receive(message, no_wait).error().kind(), ErrorKind::empty);
}

TEST(unix_protocol, delivers_the_rest_of_a_batch_after_the_peer_has_gone) {
  Meeting meeting;
  meeting.say(hello());
  meeting.say(batch({"one", "two"}));
  meeting.say(batch({"three", "four"}));
  meeting.say(packet(header(Type::close)));
  Message message;
  ASSERT_TRUE(meeting.link->receive(message, no_wait));
  meeting.peer.close();
  // The sending half finds the end, and reads what is before it.
  EXPECT_EQ(meeting.link->send(as_bytes("x"), {}, 20s).error().kind(), ErrorKind::closed);
  for (const char* text : {"two", "three", "four"}) {
    ASSERT_TRUE(meeting.link->receive(message, no_wait));
    EXPECT_EQ(message.text(), text);
  }
  EXPECT_EQ(meeting.receive(), ErrorKind::closed);
}

TEST(unix_protocol, puts_short_messages_of_one_call_into_one_packet) {
  Meeting meeting;
  meeting.say(hello());
  const std::string long_one(20'000, 'l');
  const std::vector<Bytes> messages{as_bytes("a"), as_bytes("b"), as_bytes(long_one),
                                    as_bytes("c")};
  EXPECT_EQ(or_throw(meeting.link->send_many(messages, no_wait)), 4U);
  std::vector<std::byte> buffer(100'000);
  std::vector<Type> types;
  for (;;) {
    const auto got = os::receive_packet(meeting.peer, buffer, 0);
    if (!got) break;
    types.push_back(static_cast<Type>(buffer[0]));
  }
  EXPECT_EQ(types, (std::vector{Type::hello, Type::batch, Type::whole, Type::whole}));
}

TEST(unix_protocol, sends_as_many_of_one_call_as_there_is_room_for) {
  auto ends = or_throw(make_unix_pair({.capacity_bytes = 16 * 1024}));
  const std::string text(500, 't');
  const std::vector<Bytes> messages(200, as_bytes(text));
  const std::size_t sent = or_throw(ends.first->send_many(messages, no_wait));
  EXPECT_GT(sent, 0U);
  EXPECT_LT(sent, messages.size());
  EXPECT_EQ(ends.first->send_many(messages, no_wait).error().kind(), ErrorKind::full);
  Message message;
  for (std::size_t i = 0; i < sent; ++i) {
    ASSERT_TRUE(ends.second->receive(message, no_wait)) << i;
    EXPECT_EQ(message.text(), text);
  }
  EXPECT_EQ(ends.second->receive(message, no_wait).error().kind(), ErrorKind::empty);
}

TEST(unix_protocol, bounds_a_message_by_what_this_end_allows) {
  Meeting meeting{{.max_message_bytes = 10'000}};
  meeting.say(hello());
  const std::vector<std::byte> bytes(4'000);
  for (int i = 0; i < 3; ++i) meeting.say(packet(header(Type::piece, bytes.size()), bytes));
  EXPECT_EQ(meeting.receive(), ErrorKind::corrupt);
  Meeting other{{.max_message_bytes = 3'999}};
  other.say(hello());
  other.say(packet(header(Type::whole, bytes.size()), bytes));
  EXPECT_EQ(other.receive(), ErrorKind::corrupt);
  Meeting third{{.max_message_bytes = 3}};
  third.say(hello());
  third.say(batch({"one", "more"}));
  EXPECT_EQ(third.receive(), ErrorKind::corrupt) << "before any of it is delivered";
}

TEST(unix_protocol, takes_back_an_aborted_message_with_its_handles) {
  const std::size_t before = open_descriptors();
  {
    Meeting meeting;
    const Fd file = Fd::adopt(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const int fds[] = {file.native()};
    const std::byte tag[2] = {};
    meeting.say(hello());
    for (int i = 0; i < 50; ++i) {
      auto handles = packet(header(Type::handles, 0, 1), tag);
      meeting.say(handles, fds);
      meeting.say(packet(header(Type::piece, 4), as_bytes("half")));
      meeting.say(packet(header(Type::abort)));
    }
    meeting.say(packet(header(Type::whole, 5), as_bytes("whole")));
    Message message;
    ASSERT_TRUE(meeting.link->receive(message, 20s));
    EXPECT_EQ(message.text(), "whole");
    EXPECT_TRUE(message.handles().empty());
    EXPECT_EQ(open_descriptors(), before + 3) << "two sockets and the file";
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(unix_protocol, bounds_the_handles_that_an_untrusted_peer_has_us_hold) {
  const Fd file = Fd::adopt(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  for (const std::size_t count : {16u, 17u}) {
    Meeting meeting{{.trust = Trust::untrusted}};
    const std::vector<int> fds(count, file.native());
    meeting.say(hello());
    const std::vector<std::byte> tags(2 * count);
    meeting.say(packet(header(Type::handles, 0, static_cast<std::uint16_t>(count)), tags), fds);
    meeting.say(packet(header(Type::whole, 4), as_bytes("four")));
    EXPECT_EQ(meeting.receive(), count == 16 ? ErrorKind{} : ErrorKind::corrupt);
  }
}

TEST(unix_protocol, asks_what_the_peer_takes_before_it_sends_many_handles) {
  Meeting meeting;
  const auto handles = [] {
    std::vector<Handle> some;
    for (int i = 0; i < 20; ++i) some.emplace_back(Fd::adopt(::open("/dev/null", O_RDONLY)));
    return some;
  };
  auto some = handles();
  EXPECT_EQ(meeting.link->send({}, some, no_wait).error().kind(), ErrorKind::full);
  EXPECT_EQ(meeting.link->send({}, some, 5ms).error().kind(), ErrorKind::timed_out);
  meeting.say(hello());  // takes none beyond what everybody takes
  EXPECT_EQ(meeting.link->send({}, some, 20s).error().kind(), ErrorKind::too_large);
  EXPECT_TRUE(meeting.link->send({}, std::span{some}.first(16), 20s));
}

TEST(unix_protocol, leaks_no_descriptor_of_a_packet_that_is_refused) {
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 300; ++i) {
    Meeting meeting;
    const Fd file = Fd::adopt(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const std::vector<int> fds(1 + i % 50, file.native());
    if (i % 2 == 0) meeting.say(hello());
    auto bytes = packet(header(Type{static_cast<std::uint8_t>(i % 9)}, 0,
                               static_cast<std::uint16_t>(i % 3 == 0 ? fds.size() : i)));
    bytes.resize(bytes.size() + 2 * fds.size(), std::byte{0xff});
    meeting.say(bytes, fds);
    meeting.peer.close();
    EXPECT_NE(meeting.receive(), ErrorKind{});
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(unix_protocol, stands_any_bytes) {
  std::mt19937 random{4711};
  for (int i = 0; i < 20'000; ++i) {
    Meeting meeting{{.max_message_bytes = 100'000}};
    if (random() % 4 != 0) meeting.say(hello());
    for (unsigned packets = random() % 4; packets > 0; --packets) {
      std::vector<std::byte> bytes(random() % 40);
      for (auto& byte : bytes) byte = static_cast<std::byte>(random());
      if (bytes.size() >= sizeof(Header) && random() % 2 == 0) {
        const Header likely{static_cast<std::uint8_t>(random() % 9),
                            static_cast<std::uint8_t>(random() % 2), 0,
                            static_cast<std::uint32_t>(bytes.size() - sizeof(Header))};
        std::memcpy(bytes.data(), &likely, sizeof likely);
      }
      if (!bytes.empty()) meeting.say(bytes);
    }
    meeting.peer.close();
    // Whatever it was: messages perhaps, as many as there were sizes, and then an end.
    for (int calls = 0; meeting.receive() == ErrorKind{}; ++calls) ASSERT_LT(calls, 25);
  }
}

TEST(unix_protocol, that_only_shuts_its_ears_is_an_end_for_the_sender) {
  Meeting meeting;
  meeting.say(hello());
  ::shutdown(meeting.peer.native(), SHUT_RD);
  EXPECT_EQ(meeting.link->send(as_bytes("x"), {}, 20s).error().kind(), ErrorKind::closed);
}

TEST(unix_protocol, binds_at_the_first_use_and_not_before) {
  Meeting meeting;
  std::array<std::byte, 64> buffer;
  EXPECT_EQ(os::receive_packet(meeting.peer, buffer, 0).error().kind(), ErrorKind::empty);
  Message message;
  EXPECT_EQ(meeting.link->receive(message, no_wait).error().kind(), ErrorKind::empty);
  EXPECT_TRUE(os::receive_packet(meeting.peer, buffer, 0));
}

}  // namespace
}  // namespace bulkhead::transport

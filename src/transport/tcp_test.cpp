// SPDX-License-Identifier: Apache-2.0
//
// The tcp link against networks and peers that misbehave: bytes one at a time, peers that fall
// silent, connections that are cut and made anew.
#include <array>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <bulkhead/listener.hpp>

#include "os/inet.hpp"
#include "os/poll.hpp"
#include "os/syscall.hpp"
#include "support/watchdog.hpp"
#include "transport/stream_frame.hpp"
#include "transport/tcp_socket.hpp"

namespace bulkhead::transport {
namespace {

using namespace std::chrono_literals;
using os::InetAddress;
using stream_frame::Header;
using stream_frame::Type;

struct Listening {
  Fd socket = or_throw(os::make_inet_socket(InetAddress::loopback(AF_INET, 0), SOCK_STREAM));

  Listening() {
    const auto at = InetAddress::loopback(AF_INET, 0);
    EXPECT_EQ(::bind(socket.native(), at.get(), at.size()), 0);
    EXPECT_EQ(::listen(socket.native(), 16), 0);
  }
  InetAddress at() const { return or_throw(os::local_address(socket)); }
  std::string name() const { return "tcp://" + at().text(); }
  Fd accept() const {
    EXPECT_NE(or_throw(os::poll_one(socket, POLLIN, 20s)), 0);
    return Fd::adopt(::accept4(socket.native(), nullptr, nullptr, SOCK_CLOEXEC));
  }
};

std::vector<std::byte> hello_frame() {
  std::vector<std::byte> bytes(sizeof(Header) + sizeof(stream_frame::Hello));
  const Header header{Type::hello, sizeof(stream_frame::Hello)};
  const stream_frame::Hello hello;
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, &hello, sizeof hello);
  return bytes;
}

void write_all(FdView to, Bytes bytes) {
  ASSERT_EQ(::send(to.native(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(bytes.size()));
}

/// Everything that reaches this socket is dropped from now on, before the kernel's TCP sees it: what
/// a machine does whose cable has been cut.
void cut_cable(FdView socket) {
  sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
  const sock_fprog program{.len = 1, .filter = &drop};
  ASSERT_EQ(::setsockopt(socket.native(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program),
            0);
}

/// Reset, as a machine does that was started anew.
void cut_off(Fd socket) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(::setsockopt(socket.native(), SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
  socket.close();
}

/// A channel of ours, and the raw socket of its peer, which has said hello.
struct Meeting {
  Listening listening;
  Channel channel;
  Fd peer;

  explicit Meeting(const std::string& parameters = {}, const ChannelOptions& options = {})
      : channel(or_throw(bulkhead::connect(listening.name() + parameters, 20s, options))),
        peer(listening.accept()) {
    write_all(peer, hello_frame());
  }
};

template <class R> testing::AssertionResult fails(const R& result, ErrorKind kind) {
  if (result) return testing::AssertionFailure() << "it succeeded";
  if (result.error() == kind) return testing::AssertionSuccess();
  return testing::AssertionFailure() << result.error().sentence();
}

TEST(tcp_streams, reach_a_peer_whole_whose_hello_was_late) {
  auto listener = or_throw(bulkhead::listen("tcp://127.0.0.1:0"));
  const auto to =
      or_throw(os::find_addresses(std::string{listener.address().name()}, SOCK_STREAM, never))[0];
  const Fd peer = Fd::adopt(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(peer.native(), to.get(), to.size()), 0);
  EXPECT_TRUE(fails(listener.accept(20ms), ErrorKind::timed_out)) << "it has not said hello";
  write_all(peer, hello_frame());
  {
    auto server = or_throw(listener.accept(20s));
    for (int i = 0; i < 100; ++i) or_throw(server.send(as_bytes("last words"), 20s));
  }
  std::string got;
  std::array<char, 4096> buffer{};
  ssize_t size = 0;
  while ((size = ::recv(peer.native(), buffer.data(), buffer.size(), 0)) > 0) {
    got.append(buffer.data(), static_cast<std::size_t>(size));
  }
  EXPECT_EQ(size, 0) << "a reset would have taken with it what was under way";
  int messages = 0;
  for (std::size_t at = 0; (at = got.find("last words", at)) != got.npos; ++at) ++messages;
  EXPECT_EQ(messages, 100);
}

TEST(tcp_streams, of_single_bytes_carry_whole_messages_both_ways) {
  // A proxy that hands on one byte a time, with as little room as the kernel gives.
  auto listener = or_throw(bulkhead::listen("tcp://127.0.0.1:0"));
  Listening proxy;
  auto client = or_throw(bulkhead::connect(proxy.name(), 20s));
  Fd front = proxy.accept();
  const auto to =
      or_throw(os::find_addresses(std::string{listener.address().name()}, SOCK_STREAM, never))[0];
  Fd back = Fd::adopt(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(back.native(), to.get(), to.size()), 0);
  const auto hand_on = [](FdView from, FdView into) {
    std::byte byte{};
    while (::recv(from.native(), &byte, 1, 0) == 1) {
      if (::send(into.native(), &byte, 1, MSG_NOSIGNAL) != 1) break;
    }
    ::shutdown(into.native(), SHUT_WR);
  };
  std::jthread there{hand_on, front.view(), back.view()};
  std::jthread and_back{hand_on, back.view(), front.view()};
  auto server = or_throw(listener.accept(20s));
  for (const std::size_t size : {0, 1, 7, 300, 9000}) {
    const std::vector<std::byte> bytes(size, static_cast<std::byte>(size));
    ASSERT_TRUE(client.send(bytes, 20s));
    auto got = or_throw(server.receive(20s));
    EXPECT_TRUE(std::ranges::equal(got.bytes(), bytes));
    ASSERT_TRUE(server.send(got, 20s));
    EXPECT_TRUE(std::ranges::equal(or_throw(client.receive(20s)).bytes(), bytes));
  }
  client.close();
  EXPECT_TRUE(fails(server.receive(20s), ErrorKind::closed));
  server.close();
}

TEST(tcp_heartbeat, finds_a_half_open_connection_while_a_receive_waits) {
  Meeting meeting{"?heartbeat=20ms&patience=150ms"};
  EXPECT_TRUE(fails(meeting.channel.receive(100ms), ErrorKind::timed_out))
      << "a peer that only says nothing is there";
  cut_cable(meeting.peer);
  auto got = meeting.channel.receive(never);
  EXPECT_TRUE(fails(got, ErrorKind::peer_died));
  EXPECT_THAT(got.error().sentence(), testing::HasSubstr("has not answered for 150 ms"));
  EXPECT_TRUE(fails(meeting.channel.send(as_bytes("x"), 20s), ErrorKind::peer_died));
  EXPECT_TRUE(fails(meeting.channel.try_receive(), ErrorKind::peer_died));
}

TEST(tcp_heartbeat, finds_a_half_open_connection_while_a_send_waits) {
  Meeting meeting{"?heartbeat=20ms&patience=150ms", {.capacity_bytes = 64 * 1024}};
  cut_cable(meeting.peer);
  const std::vector<std::byte> bytes(10'000'000);
  auto sent = meeting.channel.send(bytes, never);
  EXPECT_TRUE(fails(sent, ErrorKind::peer_died));
  EXPECT_THAT(sent.error().sentence(), testing::HasSubstr("has not answered"));
}

TEST(tcp_heartbeat, finds_a_half_open_connection_that_is_waited_for_from_outside) {
  Meeting meeting{"?heartbeat=20ms&patience=150ms"};
  const FdView ready = or_throw(meeting.channel.readable());
  EXPECT_TRUE(fails(meeting.channel.try_receive(), ErrorKind::empty));
  cut_cable(meeting.peer);
  Result<Message> got = fail(ErrorKind::empty);
  while (!got && got.error() == ErrorKind::empty) {
    ASSERT_NE(or_throw(os::poll_one(ready, POLLIN, 50s)), 0);
    got = meeting.channel.try_receive();
  }
  EXPECT_TRUE(fails(got, ErrorKind::peer_died));
}

TEST(tcp_heartbeat, lets_a_peer_live_that_does_not_read) {
  Meeting meeting{"?heartbeat=10ms&patience=50ms", {.capacity_bytes = 64 * 1024}};
  const std::vector<std::byte> bytes(10'000'000);
  EXPECT_TRUE(fails(meeting.channel.send(bytes, 500ms), ErrorKind::timed_out));
}

TEST(tcp_heartbeat, can_be_left_out) {
  Meeting meeting{"?heartbeat=0s&patience=10ms"};
  cut_cable(meeting.peer);
  EXPECT_TRUE(fails(meeting.channel.receive(100ms), ErrorKind::timed_out));
}

TEST(tcp_heartbeat, is_a_ping_that_a_peer_passes_over) {
  auto listener = or_throw(bulkhead::listen("tcp://127.0.0.1:0?heartbeat=1ms"));
  auto client = or_throw(
      bulkhead::connect("tcp://" + std::string{listener.address().name()} + "?heartbeat=1ms", 20s));
  auto server = or_throw(listener.accept(20s));
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(fails(client.receive(20ms), ErrorKind::timed_out));
    EXPECT_TRUE(fails(server.receive(20ms), ErrorKind::timed_out));
  }
  ASSERT_TRUE(client.send(as_bytes("still here"), 20s));
  EXPECT_EQ(or_throw(server.receive(20s)).text(), "still here");
}

TEST(tcp_ends, without_a_close_frame_are_deaths) {
  {
    Meeting ended;
    ended.peer.close();
    EXPECT_TRUE(fails(ended.channel.receive(20s), ErrorKind::peer_died));
  }
  Meeting reset;
  cut_off(std::move(reset.peer));
  EXPECT_TRUE(fails(reset.channel.receive(20s), ErrorKind::peer_died));
}

TEST(tcp_ends, that_a_forked_child_drops_lose_nothing_of_what_waits_in_them) {
  auto ends = or_throw(bulkhead::pair(Mechanism::tcp));
  ASSERT_TRUE(ends.first.send(as_bytes("for the parent"), 20s));
  const pid_t child = ::fork();
  if (child == 0) {
    {
      const Channel copy = std::move(ends.second);
    }
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(or_throw(ends.second.receive(20s)).text(), "for the parent");
}

TEST(tcp_ends, that_close_with_unread_messages_do_not_lose_what_they_sent) {
  for (int i = 0; i < 20; ++i) {
    auto ends = or_throw(bulkhead::pair(Mechanism::tcp));
    ASSERT_TRUE(ends.second.send(as_bytes("never read"), 20s));
    const std::vector<std::byte> bytes(50'000);
    int sent = 0;
    while (ends.first.try_send(bytes)) ++sent;
    {
      const Channel gone = std::move(ends.first);
    }
    for (; sent > 0; --sent) ASSERT_TRUE(ends.second.receive(20s));
    EXPECT_TRUE(fails(ends.second.receive(20s), ErrorKind::closed));
  }
}

TEST(tcp_peers, that_speak_another_protocol_are_found_out) {
  Listening listening;
  auto channel = or_throw(bulkhead::connect(listening.name(), 20s));
  const Fd peer = listening.accept();
  write_all(peer, as_bytes("HTTP/1.1 400 Bad Request\r\n\r\n"));
  EXPECT_TRUE(fails(channel.receive(20s), ErrorKind::corrupt));
}

TEST(tcp_addresses, tell_the_port_that_the_system_chose) {
  for (const std::string at : {"tcp://127.0.0.1:0", "tcp://[::1]:0", "tcp://localhost:0"}) {
    auto listener = or_throw(bulkhead::listen(at));
    EXPECT_FALSE(listener.address().text().ends_with(":0")) << listener.address().text();
    auto client = or_throw(bulkhead::connect(listener.address(), 20s));
    auto server = or_throw(listener.accept(20s));
    ASSERT_TRUE(client.send(as_bytes("hello"), 20s));
    EXPECT_EQ(or_throw(server.receive(20s)).text(), "hello");
    EXPECT_EQ(server.trust(), Trust::untrusted);
    EXPECT_EQ(server.peer().pid, 0);
  }
}

TEST(tcp_addresses, of_localhost_are_tried_in_turn) {
  auto six = or_throw(bulkhead::listen("tcp://[::1]:0"));
  const std::string name{six.address().name()};
  EXPECT_TRUE(bulkhead::connect("tcp://localhost" + name.substr(name.rfind(':')), 20s));
  EXPECT_TRUE(six.accept(20s));
}

TEST(tcp_addresses, that_are_wrong_are_refused_by_name) {
  for (const std::string at : {"tcp://127.0.0.1:1?heartbeat=5", "tcp://127.0.0.1:1?hops=1",
                               "tcp://127.0.0.1:0", "tcp://127.0.0.1", "tcp://::1:80"}) {
    EXPECT_TRUE(fails(bulkhead::connect(at, 1s), ErrorKind::invalid)) << at;
  }
  EXPECT_TRUE(fails(bulkhead::listen("tcp://127.0.0.1:0?reconnect=1s"), ErrorKind::invalid));
}

TEST(tcp_connecting, to_nobody_is_told_and_to_one_who_does_not_answer_times_out) {
  Listening gone;
  const std::string at = gone.name();
  gone.socket.close();
  EXPECT_TRUE(fails(bulkhead::connect(at, 20s), ErrorKind::not_found));
  // A listener whose queue is full drops who comes: they are not refused.
  Listening full;
  ASSERT_EQ(::listen(full.socket.native(), 0), 0);
  std::vector<Channel> inside;
  for (int i = 0; i < 2; ++i) {
    if (auto one = bulkhead::connect(full.name(), 300ms)) inside.push_back(*std::move(one));
  }
  EXPECT_TRUE(fails(bulkhead::connect(full.name(), 100ms), ErrorKind::timed_out));
}

TEST(tcp_reconnect, waits_for_a_listener_that_comes_later) {
  Listening gone;
  const std::string at = gone.name();
  gone.socket.close();
  auto nobody = bulkhead::connect(at + "?reconnect=1min", 100ms);
  EXPECT_TRUE(fails(nobody, ErrorKind::not_found));
  EXPECT_THAT(nobody.error().sentence(), testing::HasSubstr("nobody listens"));
  std::optional<Listener> listener;
  std::jthread later{[&] { listener.emplace(or_throw(bulkhead::listen(at))); }};
  auto client = bulkhead::connect(at + "?reconnect=1min", 20s);
  later.join();
  ASSERT_TRUE(client) << client.error();
  EXPECT_TRUE(listener->accept(20s));
}

TEST(tcp_reconnect, tells_each_half_of_a_break_once_and_then_goes_on) {
  Meeting meeting{"?reconnect=1min"};
  Channel& channel = meeting.channel;
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(channel.send(as_bytes("before"), 20s));
    cut_off(std::move(meeting.peer));
    auto broken = channel.receive(20s);
    EXPECT_TRUE(fails(broken, ErrorKind::peer_died));
    EXPECT_THAT(broken.error().sentence(), testing::HasSubstr("the next call connects anew"));
    EXPECT_TRUE(fails(channel.send(as_bytes("unsure"), 20s), ErrorKind::peer_died));
    ASSERT_TRUE(channel.send(as_bytes("after"), 20s));
    meeting.peer = meeting.listening.accept();
    write_all(meeting.peer, hello_frame());
    std::array<std::byte, 24 + 8 + 5 + 1> first{};
    ASSERT_EQ(::recv(meeting.peer.native(), first.data(), first.size(), MSG_WAITALL),
              static_cast<ssize_t>(first.size()));
    EXPECT_EQ(std::memcmp(first.data() + 32, "after", 5), 0) << "and nothing is sent again";
  }
  EXPECT_TRUE(fails(channel.receive(5ms), ErrorKind::timed_out));
}

TEST(tcp_reconnect, gives_up_when_nobody_comes_for_as_long_as_was_said) {
  Meeting meeting{"?reconnect=100ms"};
  meeting.listening.socket.close();
  cut_off(std::move(meeting.peer));
  EXPECT_TRUE(fails(meeting.channel.receive(20s), ErrorKind::peer_died));
  auto over = meeting.channel.receive(never);
  EXPECT_TRUE(fails(over, ErrorKind::peer_died));
  EXPECT_THAT(over.error().sentence(), testing::HasSubstr("nobody has taken a new one"));
  EXPECT_TRUE(fails(meeting.channel.send(as_bytes("x"), never), ErrorKind::peer_died));
}

TEST(tcp_reconnect, keeps_the_deadline_of_the_call_that_connects) {
  Meeting meeting{"?reconnect=1min"};
  meeting.listening.socket.close();
  cut_off(std::move(meeting.peer));
  EXPECT_TRUE(fails(meeting.channel.receive(20s), ErrorKind::peer_died));
  EXPECT_TRUE(fails(meeting.channel.receive(50ms), ErrorKind::timed_out));
  EXPECT_TRUE(fails(meeting.channel.try_receive(), ErrorKind::empty));
  EXPECT_TRUE(fails(meeting.channel.send(as_bytes("x"), 20s), ErrorKind::peer_died));
  EXPECT_TRUE(fails(meeting.channel.try_send(as_bytes("x")), ErrorKind::full));
  std::jthread waits{
      [&] { EXPECT_TRUE(fails(meeting.channel.receive(never), ErrorKind::closed)); }};
  meeting.channel.close();
}

TEST(tcp_reconnect, is_not_for_an_orderly_end) {
  Meeting meeting{"?reconnect=1min"};
  const Header close{Type::close, 0};
  write_all(meeting.peer, std::as_bytes(std::span{&close, 1}));
  EXPECT_TRUE(fails(meeting.channel.receive(20s), ErrorKind::closed));
  EXPECT_TRUE(fails(meeting.channel.receive(20s), ErrorKind::closed));
}

TEST(tcp_reconnect, is_seen_by_who_waits_outside) {
  Meeting meeting{"?reconnect=1min"};
  const FdView ready = or_throw(meeting.channel.readable());
  EXPECT_TRUE(fails(meeting.channel.try_receive(), ErrorKind::empty));
  cut_off(std::move(meeting.peer));
  std::optional<Fd> again;
  int deaths = 0;
  for (;;) {
    ASSERT_NE(or_throw(os::poll_one(ready, POLLIN, 20s)), 0);
    auto got = meeting.channel.try_receive();
    if (got) {
      EXPECT_EQ(got->text(), "");
      break;
    }
    if (got.error() == ErrorKind::peer_died) ++deaths;
    ASSERT_TRUE(got.error() == ErrorKind::peer_died || got.error() == ErrorKind::empty)
        << got.error();
    if (again || or_throw(os::poll_one(meeting.listening.socket, POLLIN, os::no_wait)) == 0) {
      continue;
    }
    again = meeting.listening.accept();
    write_all(*again, hello_frame());
    const Header empty{Type::data, 0};
    write_all(*again, std::as_bytes(std::span{&empty, 1}));
    const std::byte last{1};
    write_all(*again, Bytes{&last, 1});
  }
  EXPECT_EQ(deaths, 1);
}

TEST(tcp_reconnect, that_takes_its_time_is_waited_for_from_outside_and_then_is_quiet) {
  Meeting meeting{"?reconnect=1min"};
  const FdView ready = or_throw(meeting.channel.readable());
  // The queue of the listener is full: an attempt is neither taken nor refused.
  ASSERT_EQ(::listen(meeting.listening.socket.native(), 0), 0);
  const auto in_the_queue = or_throw(bulkhead::connect(meeting.listening.name(), 20s));
  cut_off(std::move(meeting.peer));
  auto told = meeting.channel.receive(20s);
  EXPECT_TRUE(fails(told, ErrorKind::peer_died));
  EXPECT_TRUE(fails(meeting.channel.try_receive(), ErrorKind::empty));
  EXPECT_EQ(or_throw(os::poll_one(ready, POLLIN, 30ms)), 0) << "nothing has been decided";
  const Fd first = meeting.listening.accept();
  while (or_throw(os::poll_one(meeting.listening.socket, POLLIN, os::no_wait)) == 0) {
    const test::Waiting waiting{"the kernel's next try"};
    ASSERT_NE(or_throw(os::poll_one(ready, POLLIN, 50s)), 0);
    EXPECT_TRUE(fails(meeting.channel.try_receive(), ErrorKind::empty));
  }
  const Fd second = meeting.listening.accept();
  write_all(second, hello_frame());
  for (int i = 0; i < 10 && or_throw(os::poll_one(ready, POLLIN, 30ms)) != 0; ++i) {
    EXPECT_TRUE(fails(meeting.channel.try_receive(), ErrorKind::empty));
  }
  EXPECT_EQ(or_throw(os::poll_one(ready, POLLIN, 30ms)), 0) << "it must not ring for ever";
}

}  // namespace
}  // namespace bulkhead::transport

// SPDX-License-Identifier: Apache-2.0
//
// The udp link and its listener against networks and peers that misbehave: datagrams that a proxy
// drops, doubles and swaps, forged and damaged ones, floods of hellos.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

#include "os/inet.hpp"
#include "os/syscall.hpp"
#include "transport/udp_frame.hpp"
#include "transport/udp_socket.hpp"

namespace bulkhead::transport {
namespace {

using namespace std::chrono_literals;
using os::InetAddress;
using udp_frame::Header;
using udp_frame::Type;
using Datagram = std::vector<std::byte>;

Fd bound_socket() {
  const auto anywhere = InetAddress::loopback(AF_INET, 0);
  Fd socket = or_throw(os::make_inet_socket(anywhere, SOCK_DGRAM));
  EXPECT_EQ(::bind(socket.native(), anywhere.get(), anywhere.size()), 0);
  return socket;
}

InetAddress address_of(const Listener& listener) {
  return or_throw(os::find_addresses(std::string{listener.address().name()}, SOCK_DGRAM, never))[0];
}

struct Came {
  Datagram bytes;
  InetAddress from;
  Header header() const { return udp_frame::unpack(bytes).value_or(Header{}); }
};

/// A socket of nobody's library.
class Raw {
 public:
  Raw() : socket_(bound_socket()), at_(or_throw(os::local_address(socket_))) {}

  const InetAddress& at() const { return at_; }
  std::string name() const { return "udp://" + at_.text(); }

  void say(const InetAddress& to, Bytes bytes) {
    EXPECT_EQ(::sendto(socket_.native(), bytes.data(), bytes.size(), 0, to.get(), to.size()),
              static_cast<ssize_t>(bytes.size()));
  }
  void say(const InetAddress& to, const Header& header) { say(to, udp_frame::pack(header)); }

  /// What is there already; nothing when there is none.
  std::optional<Came> take() {
    Came came{Datagram(65'536), {}};
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    const auto got = os::retry_eintr([&] {
      return ::recvfrom(socket_.native(), came.bytes.data(), came.bytes.size(), 0,
                        reinterpret_cast<sockaddr*>(&from), &size);
    });
    if (got < 0) return std::nullopt;
    came.bytes.resize(static_cast<std::size_t>(got));
    came.from = or_throw(InetAddress::from(from));
    return came;
  }
  Came wait() {
    EXPECT_NE(or_throw(os::poll_one(socket_, POLLIN, 20s)), 0);
    return take().value_or(Came{});
  }

 private:
  Fd socket_;
  InetAddress at_;
};

/// A client that speaks through a proxy of ours, which forwards what it is told to.
struct Relay {
  Listener listener = or_throw(bulkhead::listen("udp://127.0.0.1:0"));
  Raw proxy;
  Channel client = or_throw(bulkhead::connect(proxy.name(), 20s));
  InetAddress client_at;
  Channel server = join();

  Channel join() {
    const Came hello = proxy.wait();
    client_at = hello.from;
    EXPECT_EQ(hello.header().type, Type::hello);
    proxy.say(address_of(listener), hello.bytes);
    return or_throw(listener.accept(20s));
  }
  /// All that the client has sent.
  std::vector<Datagram> from_client() {
    std::vector<Datagram> all;
    while (auto came = proxy.take()) {
      if (came->from == client_at) all.push_back(std::move(came->bytes));
    }
    return all;
  }
  void to_server(const Datagram& datagram) { proxy.say(address_of(listener), datagram); }
};

TEST(udp_networks, that_drop_double_and_swap_are_counted_and_told) {
  Relay relay;
  constexpr int count = 100;
  for (int i = 0; i < count; ++i) {
    ASSERT_TRUE(relay.client.send(as_bytes(std::to_string(i)), 20s));
  }
  const auto datagrams = relay.from_client();
  ASSERT_EQ(datagrams.size(), count);
  // Of each ten: 3 is lost, 5 comes twice, 7 and 8 change places.
  for (std::size_t i = 0; i < datagrams.size(); ++i) {
    if (i % 10 == 3) continue;
    if (i % 10 == 5) relay.to_server(datagrams[i]);
    relay.to_server(datagrams[i % 10 == 7 ? i + 1 : i % 10 == 8 ? i - 1 : i]);
  }
  for (int i = 0; i < count; ++i) {
    if (i % 10 == 3) continue;
    auto got = relay.server.receive(20s);
    ASSERT_TRUE(got) << got.error();
    EXPECT_EQ(got->text(), std::to_string(i % 10 == 7 ? i + 1 : i % 10 == 8 ? i - 1 : i));
  }
  auto rest = relay.server.try_receive();
  EXPECT_TRUE(!rest && rest.error() == ErrorKind::empty);
  EXPECT_EQ(relay.server.losses().lost, 10u);
  EXPECT_EQ(relay.server.losses().duplicated, 10u);
  EXPECT_EQ(relay.server.losses().reordered, 10u);
  EXPECT_EQ(relay.client.losses().lost, 0u);
}

TEST(udp_networks, that_stall_delay_and_lose_nothing) {
  Relay relay;
  ASSERT_TRUE(relay.client.send(as_bytes("slow"), 20s));
  auto none = relay.server.receive(5ms);
  EXPECT_TRUE(!none && none.error() == ErrorKind::timed_out);
  for (const auto& datagram : relay.from_client()) relay.to_server(datagram);
  EXPECT_EQ(or_throw(relay.server.receive(20s)).text(), "slow");
  EXPECT_EQ(relay.server.losses().lost, 0u);
}

TEST(udp_networks, that_lose_the_end_of_a_conversation_are_found_out_by_its_close) {
  Relay relay;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(relay.client.send(as_bytes("lost"), 20s));
  relay.client.close();
  relay.to_server(relay.from_client().back());
  auto got = relay.server.receive(20s);
  EXPECT_TRUE(!got && got.error() == ErrorKind::closed);
  EXPECT_EQ(relay.server.losses().lost, 5u);
}

TEST(udp_networks, that_lose_the_hello_do_not_lose_the_client) {
  auto listener = or_throw(bulkhead::listen("udp://127.0.0.1:0"));
  Raw proxy;
  auto client = or_throw(bulkhead::connect(proxy.name(), 20s));
  const Came lost = proxy.wait();
  // Its first message comes alone: the listener asks who that is, and the client greets again.
  ASSERT_TRUE(client.send(as_bytes("who am I"), 20s));
  proxy.say(address_of(listener), proxy.wait().bytes);
  auto nobody = listener.accept(5ms);
  EXPECT_TRUE(!nobody && nobody.error() == ErrorKind::timed_out);
  Came unknown = proxy.wait();
  EXPECT_EQ(unknown.header().type, Type::unknown);
  proxy.say(lost.from, unknown.bytes);
  auto none = client.try_receive();
  EXPECT_TRUE(!none && none.error() == ErrorKind::empty);
  const Came again = proxy.wait();
  EXPECT_EQ(again.header().type, Type::hello);
  proxy.say(address_of(listener), again.bytes);
  EXPECT_TRUE(listener.accept(20s));
}

TEST(udp_networks, where_nobody_answers_the_hello_get_it_again_from_a_call_that_waits) {
  Raw silent;
  auto client = or_throw(bulkhead::connect(silent.name(), 20s));
  auto none = client.receive(450ms);
  EXPECT_TRUE(!none && none.error() == ErrorKind::timed_out);
  int hellos = 0;
  while (auto came = silent.take()) hellos += came->header().type == Type::hello ? 1 : 0;
  EXPECT_GE(hellos, 2);
  EXPECT_LE(hellos, 4);
}

TEST(udp_peers, that_are_forged_or_damaged_change_nothing) {
  auto listener = or_throw(bulkhead::listen("udp://127.0.0.1:0"));
  Raw peer;
  peer.say(address_of(listener), udp_frame::pack({.type = Type::hello, .session = 7}, 0));
  auto server = or_throw(listener.accept(20s));
  const auto to = address_of(listener);
  EXPECT_EQ(peer.wait().header().type, Type::welcome);
  for (std::size_t size = 0; size < 40; ++size) peer.say(to, Datagram(size, std::byte{0xb0}));
  for (int type = 0; type < 256; ++type) {
    peer.say(to, Header{.type = static_cast<Type>(type), .session = 8});
  }
  Raw stranger;  // has the session, but not the address
  stranger.say(to, Header{.type = Type::close, .session = 7});
  stranger.say(to, Header{.type = Type::data, .session = 7});
  peer.say(to, Header{.type = Type::data, .session = 7});
  EXPECT_TRUE(server.receive(20s));
  auto more = server.try_receive();
  EXPECT_TRUE(!more && more.error() == ErrorKind::empty);
  auto nobody = listener.try_accept();
  EXPECT_TRUE(!nobody && nobody.error() == ErrorKind::empty);
  EXPECT_EQ(stranger.wait().header().type, Type::unknown);
}

TEST(udp_peers, that_lie_lose_their_channel) {
  auto listener =
      or_throw(bulkhead::listen("udp://127.0.0.1:0", {.channel = {.max_message_bytes = 100}}));
  const auto to = address_of(listener);
  for (const std::size_t size : {0, 101}) {
    Raw peer;
    peer.say(to, udp_frame::pack({.type = Type::hello, .session = 7}, 0));
    auto server = or_throw(listener.accept(20s));
    Datagram lie(udp_frame::header_bytes + size);
    const auto head =
        udp_frame::pack({.type = size == 0 ? Type::challenge : Type::data, .session = 7});
    std::copy(head.begin(), head.end(), lie.begin());
    peer.say(to, lie);
    peer.say(to, Header{.type = Type::data, .sequence = 1, .session = 7});
    for (int i = 0; i < 3; ++i) {
      auto got = server.receive(20s);
      EXPECT_TRUE(!got && got.error() == ErrorKind::corrupt) << i;
    }
  }
}

TEST(udp_peers, of_another_version_are_told_ours) {
  auto listener = or_throw(bulkhead::listen("udp://127.0.0.1:0"));
  Raw peer;
  peer.say(address_of(listener), Header{.type = Type::hello, .session = 7, .version = 9});
  auto nobody = listener.accept(5ms);
  EXPECT_TRUE(!nobody && nobody.error() == ErrorKind::timed_out);
  const Came refused = peer.wait();
  EXPECT_EQ(refused.header().type, Type::refused);
  EXPECT_EQ(refused.header().version, udp_frame::version);

  auto client = or_throw(bulkhead::connect(peer.name(), 20s));
  const Came hello = peer.wait();
  peer.say(hello.from,
           Header{.type = Type::refused, .session = hello.header().session, .version = 9});
  auto got = client.receive(20s);
  EXPECT_TRUE(!got && got.error() == ErrorKind::incompatible);
}

TEST(udp_listeners, bound_what_a_flood_of_hellos_can_have_them_hold) {
  auto listener = or_throw(bulkhead::listen("udp://127.0.0.1:0"));
  const auto to = address_of(listener);
  std::vector<Raw> flood(600);
  std::uint64_t session = 0;
  for (Raw& one : flood) {
    one.say(to, udp_frame::pack({.type = Type::hello, .session = ++session}, 0));
  }
  int accepted = 0;
  while (auto channel = listener.try_accept()) ++accepted;
  EXPECT_EQ(accepted, 256);
  auto client = or_throw(bulkhead::connect(listener.address(), 20s));
  auto server = listener.accept(20s);
  EXPECT_TRUE(server) << "and then it goes on";
}

TEST(udp_listeners, keep_what_clients_sent_before_they_were_taken_in_and_mix_nobody_up) {
  auto listener = or_throw(bulkhead::listen("udp://127.0.0.1:0"));
  std::vector<Channel> clients;
  for (int i = 0; i < 20; ++i)
    clients.push_back(or_throw(bulkhead::connect(listener.address(), 20s)));
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 20; ++i) {
      const std::string text = std::to_string(i) + "/" + std::to_string(round);
      ASSERT_TRUE(clients[static_cast<std::size_t>(i)].send(as_bytes(text), 20s));
    }
  }
  for (int i = 0; i < 20; ++i) {
    auto server = or_throw(listener.accept(20s));
    for (int round = 0; round < 5; ++round) {
      auto got = server.receive(20s);
      ASSERT_TRUE(got) << got.error();
      EXPECT_EQ(got->text(), std::to_string(i) + "/" + std::to_string(round));
    }
    EXPECT_EQ(server.losses().lost, 0u);
    EXPECT_EQ(server.losses().reordered, 0u);
  }
}

TEST(udp_listeners, can_come_back_while_channels_of_the_last_one_are_open) {
  auto first = std::optional{or_throw(bulkhead::listen("udp://127.0.0.1:0"))};
  const std::string at = first->address().text();
  auto client = or_throw(bulkhead::connect(at, 20s));
  auto server = or_throw(first->accept(20s));
  first.reset();
  auto second = or_throw(bulkhead::listen(at));
  EXPECT_FALSE(bulkhead::listen(at));
  auto other = or_throw(bulkhead::connect(at, 20s));
  auto others_server = or_throw(second.accept(20s));
  ASSERT_TRUE(client.send(as_bytes("old"), 20s));
  ASSERT_TRUE(other.send(as_bytes("new"), 20s));
  EXPECT_EQ(or_throw(server.receive(20s)).text(), "old");
  EXPECT_EQ(or_throw(others_server.receive(20s)).text(), "new");
}

TEST(udp_ends, whose_peer_has_gone_without_a_word_hear_it_from_the_kernel) {
  Raw* peer = new Raw;
  auto client = or_throw(bulkhead::connect(peer->name(), 20s));
  const Came hello = peer->wait();
  peer->say(hello.from,
            Header{.type = Type::data, .sequence = 0, .session = hello.header().session});
  delete peer;
  Result<void> sent;
  for (int i = 0; i < 100 && sent; ++i) sent = client.send(as_bytes("anybody?"), 20s);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().kind(), ErrorKind::peer_died) << sent.error();
  EXPECT_TRUE(client.receive(20s)) << "what it had sent is still there";
  auto got = client.receive(20s);
  EXPECT_TRUE(!got && got.error() == ErrorKind::peer_died);
}

TEST(udp_groups, are_heard_by_all_who_joined_and_counted) {
  const std::string group = "udp://239.1.2.3:" + std::to_string(20'000 + ::getpid() % 10'000);
  auto one = or_throw(bulkhead::connect(group, 20s, {.direction = Direction::receive}));
  auto other =
      or_throw(bulkhead::connect(group + "?interface=lo", 20s, {.direction = Direction::receive}));
  auto first = or_throw(bulkhead::connect(group, 20s, {.direction = Direction::send}));
  auto second = or_throw(bulkhead::connect(group + "?hops=2", 20s, {.direction = Direction::send}));
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(first.send(as_bytes("first"), 20s));
    ASSERT_TRUE(second.send(as_bytes("second"), 20s));
    for (Channel* const receiver : {&one, &other}) {
      EXPECT_EQ(or_throw(receiver->receive(20s)).text(), "first");
      EXPECT_EQ(or_throw(receiver->receive(20s)).text(), "second");
    }
  }
  EXPECT_EQ(one.losses().lost, 0u);
  EXPECT_FALSE(one.send(as_bytes("x"), 20s));
  EXPECT_FALSE(first.receive(20s));
  auto both = bulkhead::connect(group, 20s);
  EXPECT_TRUE(!both && both.error() == ErrorKind::unsupported);
  auto listened = bulkhead::listen(group);
  EXPECT_TRUE(!listened && listened.error() == ErrorKind::unsupported);
  auto nowhere =
      bulkhead::connect(group + "?interface=nowhere", 20s, {.direction = Direction::send});
  EXPECT_TRUE(!nowhere && nowhere.error() == ErrorKind::not_found);
}

TEST(udp_messages, of_the_largest_size_go_with_both_kinds_of_address) {
  for (const std::string at : {"udp://127.0.0.1:0", "udp://[::1]:0"}) {
    const bool six = at.find('[') != at.npos;
    auto listener = or_throw(bulkhead::listen(at));
    auto client = or_throw(bulkhead::connect(listener.address(), 20s));
    auto server = or_throw(listener.accept(20s));
    const Datagram largest(udp_frame::most_payload(six), std::byte{7});
    auto sent = client.send(largest, 20s);
    ASSERT_TRUE(sent) << sent.error();
    EXPECT_EQ(or_throw(server.receive(20s)).size(), largest.size());
    const Datagram larger(largest.size() + 1);
    auto refused = client.send(larger, 20s);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::too_large);
    EXPECT_THAT(refused.error().sentence(), testing::HasSubstr(std::to_string(largest.size())));
  }
}

}  // namespace
}  // namespace bulkhead::transport

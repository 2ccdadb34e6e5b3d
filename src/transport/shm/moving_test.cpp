// SPDX-License-Identifier: Apache-2.0
//
// From the socket to memory, and staying on the socket, in one process: every order of the first
// calls. Peers that lie about it: moving_hostile_test.cpp; with real limits and other processes:
// tests/upgrade_test.cpp.
#include <deque>
#include <memory>
#include <poll.h>
#include <random>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

#include "os/socket.hpp"
#include "transport/shm/hostile_peer.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BULKHEAD_TEST_SANITIZED 1
#else
#define BULKHEAD_TEST_SANITIZED 0
#endif

namespace bulkhead::transport::shm {
namespace {

using namespace std::chrono_literals;

struct Ends {
  std::unique_ptr<Link> a;
  std::unique_ptr<Link> b;
};

const ShmSetup able{};
const ShmSetup unable{.no_memory = true};

Ends make(const ShmSetup& of_a, const ShmSetup& of_b, ChannelOptions options = {}) {
  auto sockets = os::socket_pair();
  return {std::move(*adopt_shm(std::move(sockets->first), options, of_a)),
          std::move(*adopt_shm(std::move(sockets->second), options, of_b))};
}

struct Case {
  const char* name;
  ShmSetup of_a;
  ShmSetup of_b;
  bool stays() const { return of_a.no_memory || of_b.no_memory; }
};
const Case cases[] = {{"both", able, able},
                      {"the other", unable, able},
                      {"the one", able, unable},
                      {"neither", unable, unable}};

bool is_ready(FdView fd) {
  const auto events = os::poll_one(fd, POLLIN, no_wait);
  return events && (*events & POLLIN) != 0;
}

/// Message `number` of a stream: its size and bytes tell it.
std::vector<std::byte> content(std::uint64_t number, std::size_t size) {
  std::vector<std::byte> bytes(std::max<std::size_t>(size, 8));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(number * 31 + i * 7);
  }
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

void expect_next(Link& from, Bytes expected) {
  Message message;
  const auto received = from.receive(message, 10s);
  ASSERT_TRUE(received.has_value()) << received.error();
  ASSERT_EQ(message.size(), expected.size());
  ASSERT_TRUE(std::ranges::equal(message.bytes(), expected));
}

TEST(shm_moving, goes_each_way_as_soon_as_both_have_mapped) {
  auto [a, b] = make(able, able);
  ASSERT_TRUE(a->send(as_bytes("early"), {}, never).has_value());
  EXPECT_FALSE(shm_ways(*a).sends_in_memory);
  expect_next(*b, as_bytes("early"));
  EXPECT_FALSE(shm_ways(*b).receives_in_memory);
  // b has mapped a's memory; a has not read b's hello.
  ASSERT_TRUE(b->send(as_bytes("answer"), {}, never).has_value());
  EXPECT_FALSE(shm_ways(*b).sends_in_memory);
  ASSERT_TRUE(a->send(as_bytes("second"), {}, never).has_value());
  EXPECT_TRUE(shm_ways(*a).sends_in_memory);
  ASSERT_TRUE(b->send(as_bytes("another"), {}, never).has_value());
  EXPECT_TRUE(shm_ways(*b).sends_in_memory);
  expect_next(*a, as_bytes("answer"));
  EXPECT_FALSE(shm_ways(*a).receives_in_memory);
  expect_next(*a, as_bytes("another"));
  EXPECT_TRUE(shm_ways(*a).receives_in_memory);
  expect_next(*b, as_bytes("second"));
  for (const Link* end : {a.get(), b.get()}) EXPECT_TRUE(end->capabilities().in_place);
}

TEST(shm_moving, moves_a_stream_whose_receiver_never_sends) {
  auto [a, b] = make(able, able);
  for (std::uint64_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(a->send(content(i, 100), {}, never).has_value());
    expect_next(*b, content(i, 100));
  }
  EXPECT_TRUE(shm_ways(*a).sends_in_memory);
  EXPECT_TRUE(shm_ways(*b).receives_in_memory);
}

/// One direction of a random run: what was sent and not received yet.
struct Stream {
  Link* from;
  Link* to;
  std::deque<std::vector<std::byte>> under_way;
  std::deque<bool> with_handle;
  std::uint64_t sent = 0;
  std::size_t done = 0;  // of a message in steps
  std::vector<std::byte> in_steps;
};

void send_something(Stream& way, std::mt19937& random) {
  if (way.in_steps.empty()) {
    const std::size_t size = random() % 12 == 0 ? random() % 150'000 : random() % 1500;
    way.in_steps = content(way.sent, size);
  }
  const auto bytes = way.in_steps;
  Result<void> sent;
  std::vector<Handle> handles;
  const std::uint64_t how = way.done != 0 ? 3 : random() % 4;
  if (how == 0 && bytes.size() < 2000) {
    auto room = way.from->loan(bytes.size(), no_wait);
    if (!room) {
      ASSERT_EQ(room.error(), ErrorKind::full) << room.error();
      return;
    }
    std::ranges::copy(bytes, room->begin());
    sent = way.from->commit();
  } else if (how == 1) {
    handles.emplace_back(std::move(*Fd::duplicate(FdView{0})));
    sent = way.from->send(bytes, handles, no_wait);
  } else if (how == 2) {
    sent = way.from->send(bytes, {}, no_wait);
  } else {
    sent = way.from->send_part(bytes, {}, way.done);
    if (!sent && way.done != 0 && random() % 4 == 0) {
      way.from->abort_part(way.done);
      way.done = 0;
    }
  }
  if (!sent) {
    ASSERT_TRUE(sent.error() == ErrorKind::full || sent.error() == ErrorKind::too_large)
        << sent.error();
    if (way.done == 0) way.in_steps.clear();
    return;
  }
  way.with_handle.push_back(how == 1);
  way.under_way.push_back(std::exchange(way.in_steps, {}));
  way.done = 0;
  ++way.sent;
}

void receive_something(Stream& way, std::mt19937& random, bool to_the_end) {
  Message message;
  if (random() % 3 == 0) {
    auto view = way.to->view(no_wait);
    ASSERT_TRUE(view.has_value() || view.error() == ErrorKind::empty) << view.error();
    if (view && *view) {
      ASSERT_FALSE(way.under_way.empty());
      ASSERT_TRUE(std::ranges::equal(**view, way.under_way.front()));
      way.to->release();
      way.under_way.pop_front();
      way.with_handle.pop_front();
      return;
    }
  }
  const auto received = way.to->receive(message, to_the_end ? Deadline{10s} : no_wait);
  if (!received) {
    ASSERT_FALSE(to_the_end) << received.error();
    ASSERT_EQ(received.error(), ErrorKind::empty) << received.error();
    return;
  }
  ASSERT_FALSE(way.under_way.empty());
  ASSERT_TRUE(std::ranges::equal(message.bytes(), way.under_way.front()));
  ASSERT_EQ(message.handles().size(), way.with_handle.front() ? 1U : 0U);
  way.under_way.pop_front();
  way.with_handle.pop_front();
}

TEST(shm_moving, keeps_order_and_loses_nothing_whatever_comes_first) {
  for (const Case& the : cases) {
    for (unsigned seed = 0; seed < 150; ++seed) {
      SCOPED_TRACE(std::string{the.name} + ", seed " + std::to_string(seed));
      std::mt19937 random{seed};
      const Trust trust = seed % 3 == 0 ? Trust::untrusted : Trust::equal;
      auto [a, b] = make(the.of_a, the.of_b, {.trust = trust, .capacity_bytes = 4096});
      Stream ways[] = {{a.get(), b.get(), {}, {}, 0, 0, {}}, {b.get(), a.get(), {}, {}, 0, 0, {}}};
      // Some are silent at first, and some are watched from outside at some moment.
      const unsigned bias = random() % 4;
      for (int step = 0; step < 120; ++step) {
        Stream& way = ways[random() % 2];
        switch (random() % 16) {
          case 0:
            ASSERT_TRUE(way.from->readable().has_value());
            break;
          case 1:
            ASSERT_TRUE(way.from->writable().has_value());
            break;
          case 2:
            static_cast<void>(way.from->bind(no_wait));
            break;
          default:
            if (random() % 4 < 1 + bias % 3) {
              send_something(way, random);
            } else {
              receive_something(way, random, false);
            }
        }
        ASSERT_FALSE(testing::Test::HasFatalFailure());
      }
      for (Stream& way : ways) {
        if (way.done != 0) way.from->abort_part(way.done);
        while (!way.under_way.empty()) {
          receive_something(way, random, true);
          ASSERT_FALSE(testing::Test::HasFatalFailure());
        }
        // What was taken back may still fill the socket.
        Message nothing;
        ASSERT_EQ(way.to->receive(nothing, no_wait).error(), ErrorKind::empty);
      }
      // And after all that both know where they are, and go on.
      for (std::uint64_t i = 0; i < 3; ++i) {
        for (Stream& way : ways) {
          ASSERT_TRUE(way.from->send(content(i, 64), {}, 10s).has_value());
          expect_next(*way.to, content(i, 64));
        }
      }
      for (const Link* end : {a.get(), b.get()}) {
        EXPECT_EQ(shm_ways(*end).sends_in_memory, !the.stays());
        EXPECT_EQ(shm_ways(*end).receives_in_memory, !the.stays());
        EXPECT_EQ(shm_ways(*end).stays_on_socket, the.stays());
        EXPECT_EQ(end->capabilities().in_place, !the.stays());
      }
    }
  }
}

TEST(shm_moving, wakes_whoever_sleeps_at_any_moment_of_it_threaded) {
  for (const Case& the : cases) {
    for (int round = 0; round < (BULKHEAD_TEST_SANITIZED ? 15 : 60); ++round) {
      auto [a, b] = make(the.of_a, the.of_b, {.capacity_bytes = 4096});
      constexpr std::uint64_t count = 30;
      const auto send_all = [](Link& link) {
        for (std::uint64_t i = 0; i < count; ++i) {
          ASSERT_TRUE(link.send(content(i, i % 7 == 6 ? 20'000 : 900), {}, never).has_value());
        }
      };
      const auto receive_all = [](Link& link) {
        for (std::uint64_t i = 0; i < count; ++i) {
          expect_next(link, content(i, i % 7 == 6 ? 20'000 : 900));
        }
      };
      std::thread one{[&, end = a.get()] { send_all(*end); }};
      std::thread two{[&, end = b.get()] { send_all(*end); }};
      std::thread three{[&, end = a.get()] { receive_all(*end); }};
      receive_all(*b);
      one.join();
      two.join();
      three.join();
    }
  }
}

TEST(shm_moving, leaves_the_descriptors_of_event_loops_as_they_are) {
  for (const Case& the : cases) {
    SCOPED_TRACE(the.name);
    auto [a, b] = make(the.of_a, the.of_b, {.capacity_bytes = 4096});
    const FdView readable = *b->readable();
    const FdView writable = *a->writable();
    EXPECT_TRUE(is_ready(writable));
    Message message;
    EXPECT_TRUE(is_ready(readable)) << "a hello is news, and no message";
    EXPECT_EQ(b->receive(message, no_wait).error(), ErrorKind::empty);
    EXPECT_FALSE(is_ready(readable));
    for (int i = 0; i < 20; ++i) {
      int sent = 0;
      while (a->send(content(1, 900), {}, no_wait).has_value()) ++sent;
      ASSERT_GT(sent, 0) << i;
      ASSERT_FALSE(is_ready(writable)) << i;
      for (; sent > 0; --sent) {
        ASSERT_TRUE(is_ready(readable)) << i;
        ASSERT_TRUE(b->receive(message, no_wait).has_value()) << i;
      }
      ASSERT_EQ(b->receive(message, no_wait).error(), ErrorKind::empty);
      ASSERT_FALSE(is_ready(readable)) << i;
      ASSERT_TRUE(is_ready(writable)) << i;
    }
    EXPECT_EQ(b->readable()->native(), readable.native());
    EXPECT_EQ(a->writable()->native(), writable.native());
    EXPECT_EQ(shm_ways(*a).sends_in_memory, !the.stays());
    a->close();
    EXPECT_TRUE(is_ready(readable));
    EXPECT_EQ(b->receive(message, no_wait).error(), ErrorKind::closed);
  }
}

TEST(shm_moving, tells_close_and_death_apart_wherever_it_is_and_after_all_messages) {
  for (const Case& the : cases) {
    for (int met = 0; met < 4; ++met) {
      SCOPED_TRACE(the.name + std::string{", "} + std::to_string(met));
      auto [a, b] = make(the.of_a, the.of_b);
      Message message;
      if ((met & 1) != 0) {
        ASSERT_EQ(b->receive(message, no_wait).error(), ErrorKind::empty);
      }
      for (std::uint64_t i = 0; i < 3; ++i) {
        ASSERT_TRUE(a->send(content(i, 1000), {}, never).has_value());
        if ((met & 2) != 0) {
          ASSERT_TRUE(b->send(content(i, 8), {}, never).has_value());
        }
      }
      a->close();
      // A sender hears it first, and the receiver's messages are still there.
      EXPECT_EQ(b->send(as_bytes("x"), {}, never).error(), ErrorKind::closed);
      for (std::uint64_t i = 0; i < 3; ++i) expect_next(*b, content(i, 1000));
      EXPECT_EQ(b->receive(message, never).error(), ErrorKind::closed);
      EXPECT_EQ(b->receive(message, never).error(), ErrorKind::closed);
      EXPECT_EQ(b->send(as_bytes("x"), {}, never).error(), ErrorKind::closed);
    }
  }
}

TEST(shm_moving, closes_with_a_word_though_the_socket_is_full) {
  auto [a, b] = make(unable, able);
  std::uint64_t sent = 0;
  while (a->send(content(sent, 3000), {}, no_wait).has_value()) ++sent;
  a.reset();
  for (std::uint64_t i = 0; i < sent; ++i) expect_next(*b, content(i, 3000));
  Message message;
  EXPECT_EQ(b->receive(message, never).error(), ErrorKind::closed);
}

TEST(shm_moving, tells_the_death_of_one_that_stays) {
  HostilePeer peer{{}};
  peer.greet_without_memory();
  ASSERT_TRUE(Control{peer.control()}
                  .send_record({.size = 4, .flags = 0}, {}, as_bytes("last"), {})
                  .has_value());
  peer.hang_up();
  EXPECT_EQ(peer.victim().send(as_bytes("x"), {}, never).error(), ErrorKind::peer_died);
  expect_next(peer.victim(), as_bytes("last"));
  Message message;
  EXPECT_EQ(peer.victim().receive(message, never).error(), ErrorKind::peer_died);
}

TEST(shm_moving, ends_a_send_to_one_that_only_stopped_to_hear) {
  HostilePeer peer;
  peer.greet_without_memory();
  ::shutdown(peer.control().native(), SHUT_RD);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(peer.victim().send(as_bytes("x"), {}, 2ms).error(), ErrorKind::closed);
  }
  ASSERT_TRUE(Control{peer.control()}
                  .send_record({.size = 1, .flags = 0}, {}, as_bytes("y"), {})
                  .has_value());
  expect_next(peer.victim(), as_bytes("y"));
}

TEST(shm_moving, is_refused_where_memory_is_needed) {
  const ChannelOptions needs{.needs = {.in_place = true}};
  auto sockets = os::socket_pair();
  auto a = std::move(*adopt_shm(std::move(sockets->first), needs));
  auto b = std::move(*adopt_shm(std::move(sockets->second), {}, unable));
  ASSERT_TRUE(b->send(as_bytes("lost"), {}, never).has_value());
  Message message;
  const auto refused = a->receive(message, 10s);
  EXPECT_EQ(refused.error(), ErrorKind::unsupported);
  EXPECT_NE(refused.error().sentence().find("in_place"), std::string::npos) << refused.error();
  EXPECT_EQ(a->send(as_bytes("x"), {}, never).error(), ErrorKind::unsupported);
  EXPECT_EQ(b->receive(message, 10s).error(), ErrorKind::closed) << "and the other is told";

  auto [c, d] = make(unable, able, needs);
  const auto unbound = c->send(as_bytes("x"), {}, never);
  EXPECT_EQ(unbound.error(), ErrorKind::exhausted);
  EXPECT_NE(unbound.error().sentence().find("in_place"), std::string::npos) << unbound.error();
  EXPECT_TRUE(c->detach().has_value()) << "it is unbound";
}

TEST(shm_moving, hands_over_an_unused_end_with_what_was_sent_to_it) {
  for (const Case& the : cases) {
    auto [a, b] = make(the.of_a, able);
    for (std::uint64_t i = 0; i < 5; ++i) {
      ASSERT_TRUE(a->send(content(i, 500), {}, never).has_value());
    }
    auto handle = b->detach();
    ASSERT_TRUE(handle.has_value());
    auto adopted = adopt_shm(std::move(*handle).take_fd(), {}, the.of_b);
    ASSERT_TRUE(adopted.has_value());
    for (std::uint64_t i = 0; i < 5; ++i) expect_next(**adopted, content(i, 500));
    ASSERT_TRUE((*adopted)->send(as_bytes("thanks"), {}, never).has_value());
    expect_next(*a, as_bytes("thanks"));
  }
}

TEST(shm_moving, carries_many_handles_over_the_socket) {
  for (const auto& [trust, most] : {std::pair{Trust::equal, 253U}, {Trust::untrusted, 16U}}) {
    auto [a, b] = make(unable, able, {.trust = trust});
    ASSERT_TRUE(a->bind(no_wait).has_value());
    ASSERT_TRUE(b->bind(10s).has_value());
    std::vector<Handle> handles;
    for (unsigned i = 0; i <= most; ++i) handles.emplace_back(std::move(*Fd::duplicate(FdView{0})));
    EXPECT_EQ(a->send(content(1, 200'000), handles, never).error(), ErrorKind::too_large);
    for (const Handle& handle : handles) EXPECT_TRUE(handle.fd()) << "untouched";
    handles.pop_back();
    std::thread sender{[&, end = a.get()] {
      EXPECT_TRUE(end->send(content(1, 200'000), handles, never).has_value());
    }};
    Message message;
    ASSERT_TRUE(b->receive(message, never).has_value());
    sender.join();
    EXPECT_EQ(message.handles().size(), most);
    EXPECT_EQ(message.size(), 200'000U);
  }
}

TEST(shm_moving, takes_a_message_back_when_the_deadline_comes_in_its_middle) {
  auto [a, b] = make(unable, able);
  Message message;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(a->send(content(1, 2'000'000), {}, 2ms).error(), ErrorKind::timed_out);
    EXPECT_EQ(b->receive(message, no_wait).error(), ErrorKind::empty);
    ASSERT_TRUE(a->send(as_bytes("whole"), {}, never).has_value());
    expect_next(*b, as_bytes("whole"));
  }
  EXPECT_EQ(a->send(content(1, 2'000'000), {}, no_wait).error(), ErrorKind::too_large);
}

}  // namespace
}  // namespace bulkhead::transport::shm

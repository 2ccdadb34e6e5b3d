// SPDX-License-Identifier: Apache-2.0
//
// What is particular to shm; what every mechanism must do is in tests/conformance/.
#include "transport/shm/shm_link.hpp"

#include <atomic>
#include <fcntl.h>
#include <poll.h>
#include <random>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "transport/shm/hostile_peer.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BULKHEAD_TEST_SANITIZED 1
#else
#define BULKHEAD_TEST_SANITIZED 0
#endif

namespace bulkhead::transport {
namespace {

using namespace std::chrono_literals;
using Ends = std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>>;

constexpr std::uint64_t near_wrap = ~std::uint64_t{0} - 999;  // 2^64 - 1000

Ends make(ChannelOptions options = {}, ShmSetup setup = {}) {
  auto ends = make_shm_pair(options, setup);
  EXPECT_TRUE(ends.has_value());
  return std::move(*ends);
}

/// Both have mapped the other's memory, and both ways lead through it.
void move_to_memory(Link& a, Link& b) {
  Message message;
  ASSERT_TRUE(a.bind(no_wait).has_value());
  ASSERT_TRUE(b.bind(10s).has_value());
  ASSERT_TRUE(a.bind(10s).has_value());
  for (const auto& [from, to] : {std::pair{&a, &b}, {&b, &a}}) {
    ASSERT_TRUE(from->send({}, {}, never).has_value());
    ASSERT_TRUE(to->receive(message, never).has_value());
    ASSERT_TRUE(shm_ways(*from).sends_in_memory);
    ASSERT_TRUE(shm_ways(*to).receives_in_memory);
  }
}

std::vector<std::byte> content(std::uint64_t seed, std::size_t size) {
  std::vector<std::byte> bytes(size);
  std::mt19937_64 random{seed};
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

/// Cheaper than content(): eight bytes that depend on seed and place, over and over.
void stamp(std::vector<std::byte>& bytes, std::uint64_t seed) {
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    bytes[at] = static_cast<std::byte>((seed * 0x9e3779b97f4a7c15U >> at % 8 * 8) + at / 8);
  }
}

bool is_readable(FdView fd) {
  const auto events = os::poll_one(fd, POLLIN, no_wait);
  return events && (*events & POLLIN) != 0;
}

void expect_text(Link& link, std::string_view text) {
  Message message;
  const auto received = link.receive(message, 10s);
  ASSERT_TRUE(received.has_value()) << received.error();
  EXPECT_EQ(message.text(), text);
}

TEST(shm_link, carries_every_size_across_the_end_of_the_ring_and_of_its_cursors) {
  for (const std::uint64_t first : {std::uint64_t{0}, near_wrap - near_wrap % 8}) {
    auto [a, b] = make({.capacity_bytes = 4096}, {.first_cursor = first});
    Message message;
    for (std::size_t size = 0; size < 2200; ++size) {
      const auto sent = content(size, size);
      ASSERT_TRUE(a->send(sent, {}, never).has_value());
      ASSERT_TRUE(b->receive(message, never).has_value());
      ASSERT_EQ(message.size(), size);
      ASSERT_TRUE(std::equal(sent.begin(), sent.end(), message.bytes().begin())) << size;
    }
  }
}

TEST(shm_link, streams_larger_messages_across_the_wrap_of_the_cursors_threaded) {
  auto [a, b] = make({.trust = Trust::untrusted, .capacity_bytes = 4096},
                     {.first_cursor = near_wrap - near_wrap % 8});
  const std::vector<std::size_t> sizes{2040, 2041, 4088, 4096, 4097, 70'001, 300'000};
  std::thread sender{[&] {
    for (const std::size_t size : sizes) {
      EXPECT_TRUE(a->send(content(size, size), {}, never).has_value());
    }
  }};
  Message message;
  for (const std::size_t size : sizes) {
    ASSERT_TRUE(b->receive(message, never).has_value());
    const auto sent = content(size, size);
    ASSERT_EQ(message.size(), size);
    ASSERT_TRUE(std::equal(sent.begin(), sent.end(), message.bytes().begin())) << size;
  }
  sender.join();
}

TEST(shm_link, takes_a_larger_message_back_when_the_deadline_comes_in_the_middle) {
  auto [a, b] = make({.capacity_bytes = 4096});
  move_to_memory(*a, *b);
  const auto large = content(1, 20'000);
  Message message;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(a->send(large, {}, 2ms).error(), ErrorKind::timed_out);
    // What came of it is not shown, not even as a part.
    EXPECT_EQ(b->receive(message, no_wait).error(), ErrorKind::empty);
    ASSERT_TRUE(a->send(as_bytes("whole"), {}, never).has_value());
    expect_text(*b, "whole");
  }
}

TEST(shm_link, keeps_a_part_when_the_receiver_runs_out_of_time_threaded) {
  auto [a, b] = make({.capacity_bytes = 4096});
  const auto large = content(2, 50'000);
  Message message;
  EXPECT_EQ(b->receive(message, no_wait).error(), ErrorKind::empty);
  std::thread sender{[&] { EXPECT_TRUE(a->send(large, {}, never).has_value()); }};
  int attempts = 0;
  for (;; ++attempts) {
    const auto received = b->receive(message, no_wait);
    if (received) break;
    ASSERT_EQ(received.error(), ErrorKind::empty);
    std::this_thread::yield();
  }
  sender.join();
  ASSERT_EQ(message.size(), large.size());
  EXPECT_TRUE(std::equal(large.begin(), large.end(), message.bytes().begin()));
}

TEST(shm_link, delivers_what_was_sent_before_the_peer_ever_looked) {
  auto [a, b] = make();
  ASSERT_TRUE(a->send(as_bytes("one"), {}, never).has_value());
  ASSERT_TRUE(a->send(as_bytes("two"), {}, never).has_value());
  a->close();
  a.reset();
  expect_text(*b, "one");
  expect_text(*b, "two");
  Message message;
  EXPECT_EQ(b->receive(message, never).error(), ErrorKind::closed);
}

TEST(shm_link, is_closed_for_a_peer_that_never_used_it) {
  auto [a, b] = make();
  a.reset();
  Message message;
  EXPECT_EQ(b->receive(message, never).error(), ErrorKind::closed);
  EXPECT_EQ(b->send(as_bytes("x"), {}, never).error(), ErrorKind::closed);
}

TEST(shm_link, tells_the_death_of_a_peer_after_all_that_it_published) {
  shm::HostilePeer peer{{}};
  peer.greet();
  peer.put(0, {.size = 0, .flags = 0});
  peer.put(8, {.size = 0, .flags = 0});
  peer.words().tail = 16;
  peer.hang_up();
  Message message;
  EXPECT_TRUE(peer.victim().receive(message, never).has_value());
  EXPECT_TRUE(peer.victim().receive(message, never).has_value());
  EXPECT_EQ(peer.victim().receive(message, never).error(), ErrorKind::peer_died);
  EXPECT_EQ(peer.victim().receive(message, no_wait).error(), ErrorKind::peer_died);
  EXPECT_EQ(peer.victim().send(as_bytes("x"), {}, never).error(), ErrorKind::peer_died);
}

TEST(shm_link, tells_the_death_of_a_peer_to_a_sender_without_room) {
  shm::HostilePeer peer{{.capacity_bytes = 4096}};
  peer.greet();
  const std::vector<std::byte> message(1000);
  while (peer.victim().send(message, {}, no_wait).has_value()) {
  }
  peer.hang_up();
  EXPECT_EQ(peer.victim().send(message, {}, no_wait).error(), ErrorKind::peer_died);
  EXPECT_EQ(peer.victim().send(message, {}, never).error(), ErrorKind::peer_died);
}

TEST(shm_link, drops_the_part_of_a_message_whose_sender_died) {
  shm::HostilePeer peer{{}};
  peer.greet();
  peer.put(0, {.size = 16, .flags = shm::RecordHeader::more});
  const std::uint64_t total = 1000;
  std::memcpy(peer.ring() + 8, &total, sizeof total);
  peer.words().tail = 24;
  peer.hang_up();
  Message message;
  EXPECT_EQ(peer.victim().receive(message, never).error(), ErrorKind::peer_died);
}

TEST(shm_link, tells_the_death_of_a_peer_that_never_said_hello) {
  shm::HostilePeer peer{{}};
  peer.hang_up();
  Message message;
  EXPECT_EQ(peer.victim().receive(message, never).error(), ErrorKind::peer_died);
}

TEST(shm_link, refuses_a_version_that_it_does_not_know_on_both_sides) {
  shm::HostilePeer peer{{}};
  const shm::Hello later{
      .head = {.magic = shm::magic, .kind = shm::PacketHead::hello, .version = 7},
      .layout_hash = 1,
      .capacity = 65536,
      .most_handles = 16,
      .zero = 0};
  ASSERT_TRUE(os::send_packet(peer.control(), std::as_bytes(std::span{&later, 1})).has_value());
  Message message;
  const auto received = peer.victim().receive(message, never);
  EXPECT_EQ(received.error(), ErrorKind::incompatible);
  EXPECT_NE(received.error().sentence().find("version 7"), std::string::npos) << received.error();
  EXPECT_EQ(peer.victim().send(as_bytes("x"), {}, never).error(), ErrorKind::incompatible);
  // What the peer finds: our hello, then the refusal, which a peer that knows us would take as well.
  peer.be_greeted();
  const auto refusal = shm::Control{peer.control()}.receive_hello();
  EXPECT_EQ(refusal.error(), ErrorKind::incompatible);
  EXPECT_NE(refusal.error().sentence().find("version 2"), std::string::npos) << refusal.error();
}

TEST(shm_link, refuses_memory_that_is_laid_out_differently) {
  shm::HostilePeer peer{{}};
  const shm::Hello other{.head = {.magic = shm::magic,
                                  .kind = shm::PacketHead::hello,
                                  .version = shm::protocol_version},
                         .layout_hash = 1,
                         .capacity = 65536,
                         .most_handles = 16,
                         .zero = 0};
  ASSERT_TRUE(os::send_packet(peer.control(), std::as_bytes(std::span{&other, 1})).has_value());
  Message message;
  EXPECT_EQ(peer.victim().receive(message, never).error(), ErrorKind::incompatible);
}

TEST(shm_link, is_bound_before_a_process_gives_up_its_rights) {
  auto [a, b] = make();
  EXPECT_TRUE(a->bind(no_wait).has_value());
  EXPECT_TRUE(b->bind(10s).has_value());
  EXPECT_TRUE(a->bind(10s).has_value());
  ASSERT_TRUE(a->send(as_bytes("bound"), {}, never).has_value());
  expect_text(*b, "bound");
}

TEST(shm_link, waits_for_a_hello_no_longer_than_the_deadline) {
  auto [a, b] = make();
  EXPECT_EQ(a->bind(1ms).error(), ErrorKind::timed_out);
  Message message;
  EXPECT_EQ(a->receive(message, 1ms).error(), ErrorKind::timed_out);
  EXPECT_EQ(a->receive(message, no_wait).error(), ErrorKind::empty);
  // What is sent before it waits in the socket.
  const std::vector<std::byte> piece(10'000);
  int waiting = 0;
  while (a->send(piece, {}, no_wait).has_value()) ++waiting;
  EXPECT_GT(waiting, 5);
  EXPECT_EQ(a->send(piece, {}, 1ms).error(), ErrorKind::timed_out);
  EXPECT_EQ(a->send(piece, {}, no_wait).error(), ErrorKind::full);
  for (; waiting > 0; --waiting) EXPECT_TRUE(b->receive(message, never).has_value());
}

TEST(shm_link, gives_the_hello_to_both_threads_of_an_end_threaded) {
  const int rounds = BULKHEAD_TEST_SANITIZED ? 30 : 200;
  for (int i = 0; i < rounds; ++i) {
    auto [a, b] = make({.capacity_bytes = 4096});
    std::thread receiver{[&] { expect_text(*a, "to a"); }};
    std::thread sender{[&] {
      const std::vector<std::byte> message(2000);
      for (int k = 0; k < 4; ++k) EXPECT_TRUE(a->send(message, {}, never).has_value());
    }};
    Message message;
    for (int k = 0; k < 4; ++k) ASSERT_TRUE(b->receive(message, never).has_value());
    ASSERT_TRUE(b->send(as_bytes("to a"), {}, never).has_value());
    receiver.join();
    sender.join();
  }
}

TEST(shm_link, that_needs_memory_is_exhausted_in_words_and_usable_later) {
  auto [a, b] = make({.needs = {.in_place = true}});
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  // F11: the first, second, ... descriptor that binding asks for is refused.
  const Fd probe = std::move(*Fd::duplicate(FdView{0}));
  for (rlim_t spare = 0; spare < 3; ++spare) {
    rlimit few = before;
    few.rlim_cur = static_cast<rlim_t>(probe.native()) + spare + (spare == 0 ? 0 : 1);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    const auto sent = a->send(as_bytes("x"), {}, never);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    ASSERT_FALSE(sent.has_value()) << spare;
    EXPECT_EQ(sent.error(), ErrorKind::exhausted);
    EXPECT_FALSE(sent.error().operation().empty());
  }
  ASSERT_TRUE(a->send(as_bytes("later"), {}, never).has_value());
  expect_text(*b, "later");
}

TEST(shm_link, carries_as_many_handles_as_one_packet_takes) {
  for (const auto& [trust, most] : {std::pair{Trust::equal, 253U}, {Trust::untrusted, 16U}}) {
    auto [a, b] = make({.trust = trust});
    ASSERT_TRUE(a->bind(no_wait).has_value());
    ASSERT_TRUE(b->bind(10s).has_value());
    std::vector<Handle> handles;
    for (unsigned i = 0; i < most; ++i) handles.emplace_back(std::move(*Fd::duplicate(FdView{0})));
    handles.emplace_back(std::move(*Fd::duplicate(FdView{0})));
    EXPECT_EQ(a->send(as_bytes("many"), handles, never).error(), ErrorKind::too_large);
    for (const Handle& handle : handles) EXPECT_TRUE(handle.fd()) << "untouched";
    handles.pop_back();
    ASSERT_TRUE(a->send(as_bytes("many"), handles, never).has_value());
    for (const Handle& handle : handles) EXPECT_FALSE(handle.fd()) << "consumed";
    Message message;
    ASSERT_TRUE(b->receive(message, never).has_value());
    EXPECT_EQ(message.handles().size(), most);
    EXPECT_EQ(message.text(), "many");
  }
}

TEST(shm_link, carries_handles_beside_larger_messages_and_drops_those_taken_back) {
  auto [a, b] = make({.capacity_bytes = 4096});
  move_to_memory(*a, *b);
  const auto large = content(3, 20'000);
  std::vector<Handle> handles;
  handles.emplace_back(std::move(*Fd::duplicate(FdView{0})));
  EXPECT_EQ(a->send(large, handles, 1ms).error(), ErrorKind::timed_out);
  EXPECT_TRUE(handles[0].fd()) << "untouched";
  Message message;
  EXPECT_EQ(b->receive(message, no_wait).error(), ErrorKind::empty);

  std::thread sender{[&] { EXPECT_TRUE(a->send(large, handles, never).has_value()); }};
  ASSERT_TRUE(b->receive(message, never).has_value());
  sender.join();
  EXPECT_EQ(message.size(), large.size());
  ASSERT_EQ(message.handles().size(), 1U);
  ASSERT_TRUE(a->send(as_bytes("plain"), {}, never).has_value());
  ASSERT_TRUE(b->receive(message, never).has_value());
  EXPECT_TRUE(message.handles().empty());
}

TEST(shm_link, holds_handles_back_while_too_many_are_under_way) {
  auto [a, b] = make({.capacity_bytes = 1 << 20});
  move_to_memory(*a, *b);
  int under_way = 0;
  Result<void> sent;
  for (;; ++under_way) {
    std::vector<Handle> one;
    one.emplace_back(std::move(*Fd::duplicate(FdView{0})));
    sent = a->send(as_bytes("h"), one, 1ms);
    if (!sent) break;
  }
  EXPECT_TRUE(sent.error() == ErrorKind::timed_out || sent.error() == ErrorKind::exhausted)
      << sent.error();
  Message message;
  for (int i = 0; i < under_way; ++i) {
    ASSERT_TRUE(b->receive(message, never).has_value());
    ASSERT_EQ(message.handles().size(), 1U);
  }
  EXPECT_EQ(b->receive(message, no_wait).error(), ErrorKind::empty);
}

TEST(shm_link, gives_an_unused_end_away_and_a_used_one_not) {
  auto [a, b] = make();
  auto handle = a->detach();
  ASSERT_TRUE(handle.has_value());
  EXPECT_EQ(handle->kind(), Handle::Kind::channel);
  EXPECT_EQ(a->send(as_bytes("x"), {}, never).error(), ErrorKind::invalid);
  a.reset();  // says nothing: the end lives on
  auto adopted = adopt_shm(std::move(*handle).take_fd(), {});
  ASSERT_TRUE(adopted.has_value());
  ASSERT_TRUE((*adopted)->send(as_bytes("moved"), {}, never).has_value());
  expect_text(*b, "moved");
  EXPECT_EQ((*adopted)->detach().error(), ErrorKind::invalid);
}

TEST(shm_link, is_not_adopted_from_anything_but_a_connected_packet_socket) {
  std::vector<Fd> others;
  others.push_back(Fd::adopt(::open("/dev/zero", O_RDWR | O_CLOEXEC)));
  others.push_back(Fd::adopt(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)));
  others.push_back(Fd::adopt(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  others.push_back(Fd{});
  for (Fd& other : others) {
    EXPECT_EQ(adopt_shm(std::move(other), {}).error(), ErrorKind::invalid);
  }
}

TEST(shm_link, allows_one_loan_and_one_view_at_a_time) {
  auto [a, b] = make();
  move_to_memory(*a, *b);
  auto loan = a->loan(100, never);
  ASSERT_TRUE(loan.has_value());
  EXPECT_EQ(a->loan(100, never).error(), ErrorKind::invalid);
  EXPECT_EQ(a->send(as_bytes("x"), {}, never).error(), ErrorKind::invalid);
  std::memset(loan->data(), 7, loan->size());
  ASSERT_TRUE(a->commit().has_value());
  EXPECT_EQ(a->commit().error(), ErrorKind::invalid);

  auto view = b->view(10s);
  ASSERT_TRUE(view.has_value());
  ASSERT_TRUE(view->has_value());
  EXPECT_EQ((*view)->size(), 100U);
  Message message;
  EXPECT_EQ(b->receive(message, no_wait).error(), ErrorKind::invalid);
  b->release();
  EXPECT_EQ(b->receive(message, no_wait).error(), ErrorKind::empty);
}

TEST(shm_link, shows_nothing_in_place_of_an_untrusted_peer) {
  auto [a, b] = make({.trust = Trust::untrusted});
  ASSERT_TRUE(a->send(as_bytes("copied"), {}, never).has_value());
  auto view = b->view(10s);
  ASSERT_TRUE(view.has_value());
  EXPECT_FALSE(view->has_value());
  expect_text(*b, "copied");
}

TEST(shm_link, refuses_a_loan_that_does_not_fit_half_the_ring) {
  auto [a, b] = make({.capacity_bytes = 4096});
  EXPECT_TRUE(a->loan(2040, never).has_value());
  a->abandon();
  const auto refused = a->loan(2041, never);
  EXPECT_EQ(refused.error(), ErrorKind::too_large);
  EXPECT_NE(refused.error().sentence().find("capacity_bytes"), std::string::npos);
}

TEST(shm_link, is_readable_outside_only_while_there_is_something) {
  for (const Trust trust : {Trust::equal, Trust::untrusted}) {
    auto [a, b] = make({.trust = trust});
    const auto readable = b->readable();
    ASSERT_TRUE(readable.has_value());
    EXPECT_FALSE(is_readable(*readable));
    Message message;
    for (int i = 0; i < 50; ++i) {
      ASSERT_TRUE(a->send(as_bytes("x"), {}, never).has_value());
      ASSERT_TRUE(is_readable(*readable)) << i;
      expect_text(*b, "x");
      EXPECT_EQ(b->receive(message, no_wait).error(), ErrorKind::empty);
      ASSERT_FALSE(is_readable(*readable)) << i;
    }
    a->close();
    EXPECT_TRUE(is_readable(*readable));
    EXPECT_EQ(b->receive(message, no_wait).error(), ErrorKind::closed);
  }
}

TEST(shm_link, is_readable_outside_for_what_came_before_anybody_asked) {
  for (const bool moved : {false, true}) {
    auto [a, b] = make();
    ASSERT_TRUE(a->bind(no_wait).has_value());
    ASSERT_TRUE(b->bind(10s).has_value());
    if (moved) move_to_memory(*a, *b);
    Message message;
    EXPECT_EQ(b->receive(message, no_wait).error(), ErrorKind::empty);
    ASSERT_TRUE(a->send(as_bytes("x"), {}, never).has_value());
    const auto readable = b->readable();
    ASSERT_TRUE(readable.has_value());
    EXPECT_TRUE(is_readable(*readable));
  }
}

TEST(shm_link, is_writable_outside_once_there_is_room_again) {
  for (const Trust trust : {Trust::equal, Trust::untrusted}) {
    auto [a, b] = make({.trust = trust, .capacity_bytes = 4096});
    const auto writable = a->writable();
    ASSERT_TRUE(writable.has_value());
    EXPECT_TRUE(is_readable(*writable)) << "there is room from the start";
    ASSERT_TRUE(b->bind(no_wait).has_value());
    const std::vector<std::byte> bytes(500);
    Message message;
    for (int i = 0; i < 20; ++i) {
      while (a->send(bytes, {}, no_wait).has_value()) {
      }
      ASSERT_FALSE(is_readable(*writable)) << i;
      while (b->receive(message, no_wait).has_value()) {
      }
      ASSERT_TRUE(is_readable(*writable)) << i;
    }
  }
}

TEST(shm_link, loses_no_wake_up_between_two_sleepers_threaded) {
  // Each answers at once and sleeps as soon as it may: the wait words are at work all the time.
  for (const Trust trust : {Trust::equal, Trust::untrusted}) {
    auto book = std::make_shared<shm::MappingBook>();
    auto [a, b] =
        make({.trust = trust, .capacity_bytes = 4096}, {.one_mapping = book, .always_sleep = true});
    const int rounds = BULKHEAD_TEST_SANITIZED ? 2'000 : 20'000;
    std::thread echo{[&, end = b.get()] {
      Message message;
      for (int i = 0; i < rounds; ++i) {
        ASSERT_TRUE(end->receive(message, never).has_value());
        ASSERT_TRUE(end->send(message.bytes(), {}, never).has_value());
      }
    }};
    Message message;
    for (int i = 0; i < rounds; ++i) {
      ASSERT_TRUE(a->send(std::as_bytes(std::span{&i, 1}), {}, never).has_value());
      ASSERT_TRUE(a->receive(message, never).has_value());
      ASSERT_EQ(std::memcmp(message.bytes().data(), &i, sizeof i), 0);
    }
    echo.join();
  }
}

TEST(shm_link, keeps_two_streams_whole_and_in_order_over_one_mapping_threaded) {
  // With one mapping ThreadSanitizer sees both ends touch the same bytes.
  for (const Trust trust : {Trust::equal, Trust::untrusted}) {
    auto book = std::make_shared<shm::MappingBook>();
    auto [a, b] = make({.trust = trust, .capacity_bytes = 4096}, {.one_mapping = book});
    const int messages = BULKHEAD_TEST_SANITIZED ? 2'000 : 20'000;
    const auto send_all = [&](Link& link, std::uint64_t seed) {
      std::mt19937_64 random{seed};
      std::vector<std::byte> bytes;
      for (int i = 0; i < messages; ++i) {
        bytes.resize(random() % (i % 50 == 0 ? 9'000 : 300));
        stamp(bytes, seed + static_cast<std::uint64_t>(i));
        if (i % 7 == 0 && bytes.size() <= 2040) {
          auto loan = link.loan(bytes.size(), never);
          ASSERT_TRUE(loan.has_value());
          std::copy(bytes.begin(), bytes.end(), loan->begin());
          ASSERT_TRUE(link.commit().has_value());
        } else {
          ASSERT_TRUE(link.send(bytes, {}, never).has_value());
        }
      }
    };
    const auto receive_all = [&](Link& link, std::uint64_t seed) {
      std::mt19937_64 random{seed};
      std::vector<std::byte> expected;
      Message message;
      for (int i = 0; i < messages; ++i) {
        expected.resize(random() % (i % 50 == 0 ? 9'000 : 300));
        stamp(expected, seed + static_cast<std::uint64_t>(i));
        std::optional<Bytes> view;
        if (i % 5 == 0) {
          auto looked = link.view(never);
          ASSERT_TRUE(looked.has_value());
          view = *looked;
        }
        if (!view) {
          ASSERT_TRUE(link.receive(message, never).has_value());
        }
        const Bytes got = view ? *view : message.bytes();
        ASSERT_EQ(got.size(), expected.size()) << i;
        ASSERT_TRUE(std::equal(got.begin(), got.end(), expected.begin())) << i;
        if (view) link.release();
      }
    };
    std::thread one{[&, end = a.get()] { send_all(*end, 1); }};
    std::thread two{[&, end = b.get()] { send_all(*end, 2); }};
    std::thread three{[&, end = a.get()] { receive_all(*end, 2); }};
    receive_all(*b, 1);
    one.join();
    two.join();
    three.join();
  }
}

TEST(shm_link, ends_the_waits_of_other_threads_when_it_is_closed_threaded) {
  const int rounds = BULKHEAD_TEST_SANITIZED ? 20 : 100;
  for (int i = 0; i < rounds; ++i) {
    auto [a, b] = make({.capacity_bytes = 4096});
    if (i % 2 == 0) {
      ASSERT_TRUE(a->bind(no_wait).has_value());
      ASSERT_TRUE(b->bind(10s).has_value());
    }
    std::thread receiver{[&, end = a.get()] {
      Message message;
      EXPECT_EQ(end->receive(message, never).error(), ErrorKind::closed);
    }};
    std::thread sender{[&, end = a.get()] {
      const std::vector<std::byte> bytes(1000);
      Result<void> sent;
      while ((sent = end->send(bytes, {}, never)).has_value()) {
      }
      EXPECT_EQ(sent.error(), ErrorKind::closed);
    }};
    std::this_thread::yield();
    a->close();
    receiver.join();
    sender.join();
    Message message;
    Result<void> received;
    while ((received = b->receive(message, never)).has_value()) {
    }
    EXPECT_EQ(received.error(), ErrorKind::closed);
  }
}

}  // namespace
}  // namespace bulkhead::transport

// SPDX-License-Identifier: Apache-2.0
//
// Peers that never stop: what they send makes no message, answers no call, or cannot end. A deadline
// holds all the same, a try_ call returns, memory stays flat, and an event loop does not spin. (A4,
// A6, A13, A50.)
#include <atomic>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <thread>
#include <vector>

#include <bulkhead/bulkhead.hpp>

#include "os/socket.hpp"
#include "service/frame.hpp"
#include "support/watchdog.hpp"
#include "transport/shm/bell.hpp"
#include "transport/shm/control.hpp"
#include "transport/shm/hostile_view.hpp"
#include "transport/shm/segment.hpp"
#include "transport/shm/shm_link.hpp"
#include "transport/unix_frame.hpp"
#include "transport/unix_socket.hpp"

namespace {

using namespace bulkhead;
using namespace bulkhead::transport;
using namespace std::chrono_literals;
using test::Waiting;
using unix_frame::Type;

/// What a thread does again and again until this goes.
class Flood {
 public:
  template <class F>
  explicit Flood(F again)
      : thread_([again = std::move(again), this]() mutable {
          while (!over_) again();
        }) {}
  ~Flood() {
    over_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> over_{false};
  std::thread thread_;
};

struct UnixPeer {
  std::unique_ptr<Link> victim;
  Fd socket;

  UnixPeer() {
    auto ends = or_throw(os::socket_pair());
    victim = or_throw(adopt_unix(std::move(ends.first), {.trust = Trust::untrusted}));
    socket = std::move(ends.second);
    const unix_frame::Hello hello;
    say(Type::hello, std::as_bytes(std::span{&hello, 1}));
  }
  void say(Type type, Bytes payload = {}) const {
    const unix_frame::Header header{.type = static_cast<std::uint8_t>(type),
                                    .payload = static_cast<std::uint32_t>(payload.size())};
    std::vector<std::byte> bytes(sizeof header + payload.size());
    std::memcpy(bytes.data(), &header, sizeof header);
    if (!payload.empty()) std::memcpy(bytes.data() + sizeof header, payload.data(), payload.size());
    static_cast<void>(os::send_packet(socket, bytes));  // when full: again
  }
};

void expect_deadlines_hold(Link& victim) {
  Message message;
  const Waiting waiting{"the deadline of a receive"};
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(victim.receive(message, 2ms).error(), ErrorKind::timed_out);
    EXPECT_EQ(victim.receive(message, no_wait).error(), ErrorKind::empty);
  }
}

TEST(hostile_flood, of_packets_that_make_no_message_does_not_stop_a_deadline) {
  for (const Type type : {Type::abort, Type::piece, Type::handles}) {
    const UnixPeer peer;
    const Flood flood{[&] { peer.say(type); }};
    expect_deadlines_hold(*peer.victim);
  }
}

TEST(hostile_flood, by_a_peer_that_hears_nothing_ends_a_send) {
  const UnixPeer peer;
  ::shutdown(peer.socket.native(), SHUT_RD);
  const std::string text(1000, 'x');
  const Flood flood{[&] { peer.say(Type::whole, as_bytes(text)); }};
  const Waiting waiting{"a send to a peer that hears nothing"};
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(peer.victim->send(as_bytes("x"), {}, 2ms).error(), ErrorKind::closed);
  }
  Message message;
  EXPECT_TRUE(peer.victim->receive(message, 20s)) << "and what it says is still heard";
}

/// The other end of a victim's memory, every word open.
struct MemoryPeer {
  std::unique_ptr<Link> victim;
  Fd control;
  shm::OwnSegment segment = or_throw(shm::OwnSegment::create(4096, 0, nullptr));
  shm::Bell bell = or_throw(shm::Bell::create(Trust::equal));
  std::optional<shm::PeerSegment> theirs;

  MemoryPeer() {
    auto ends = or_throw(os::socket_pair());
    victim = or_throw(adopt_shm(std::move(ends.first), {.trust = Trust::untrusted}));
    control = std::move(ends.second);
    const Fd file = segment.take_file();
    or_throw(
        shm::Control{control}.send_hello(4096, Trust::equal, file, bell.passing(), bell.passing()));
    segment.words().mapped = 1;
    or_throw(shm::Control{control}.send_moved());
    or_throw(victim->bind(no_wait));
    auto hello = or_throw(shm::Control{control}.receive_hello());
    theirs.emplace(
        or_throw(shm::PeerSegment::attach(std::move(hello.segment), hello.capacity, nullptr)));
  }
  std::uint64_t victims_head() const { return shm::PeerWords{theirs->words()}.head(); }
  void put(std::uint64_t at, shm::RecordHeader header) {
    const std::uint64_t word = header.packed();
    std::memcpy(segment.ring() + at, &word, sizeof word);
  }
};

TEST(hostile_flood, of_pieces_of_nothing_in_memory_does_not_stop_a_deadline) {
  using shm::RecordHeader;
  MemoryPeer peer;
  // The whole ring is pieces of no bytes, for ever; only the first announces something.
  for (std::uint64_t at = 0; at < 4096; at += 8) {
    peer.put(at, {.size = 0, .flags = RecordHeader::more | RecordHeader::next});
  }
  peer.put(0, {.size = 8, .flags = RecordHeader::more});
  const std::uint64_t total = 1000;
  std::memcpy(peer.segment.ring() + 8, &total, sizeof total);
  peer.segment.words().tail = 4096;
  Message message;
  EXPECT_EQ(peer.victim->receive(message, no_wait).error(), ErrorKind::empty);
  peer.put(0, {.size = 0, .flags = RecordHeader::more | RecordHeader::next});
  peer.put(8, {.size = 0, .flags = RecordHeader::more | RecordHeader::next});
  // Never further than a ring ahead of what the victim has surely read.
  const Flood flood{[&] { peer.segment.words().tail = peer.victims_head() + 4096; }};
  expect_deadlines_hold(*peer.victim);
}

TEST(hostile_flood, of_a_bell_that_lost_its_ringer_is_an_end_to_who_waits_outside) {
  auto ends = or_throw(os::socket_pair());
  const auto victim = or_throw(adopt_shm(std::move(ends.first), {.trust = Trust::untrusted}));
  auto segment = or_throw(shm::OwnSegment::create(4096, 0, nullptr));
  auto bell = or_throw(os::socket_pair());
  const Fd file = segment.take_file();
  ASSERT_TRUE(
      shm::Control{ends.second}.send_hello(4096, Trust::equal, file, bell.second, bell.second));
  ASSERT_TRUE(shm::Control{ends.second}.send_moved());
  bell.first.close();
  bell.second.close();
  const FdView readable = or_throw(victim->readable());
  Message message;
  // A loop as an event loop has it: it may not be called for nothing again and again.
  for (int turn = 0; turn < 100; ++turn) {
    pollfd entry{.fd = readable.native(), .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, 0) == 0) return;
    const auto got = victim->receive(message, no_wait);
    ASSERT_FALSE(got);
    if (got.error() != ErrorKind::empty) {
      EXPECT_EQ(got.error(), ErrorKind::peer_died);
      return;
    }
  }
  FAIL() << "readable for ever, and nothing there";
}

struct Oracle {
  std::string ask(std::string text);
  void thank();
};
BULKHEAD_INTERFACE(Oracle, ask, thank)
struct Pythia {
  std::string ask(std::string) { return std::string(10'000, 'a'); }
  void thank() {}
};

std::uint64_t method(std::size_t place) {
  return detail::InterfaceOf<Oracle>::Served<Pythia>::table[place].method.id;
}

service::FrameHeader header(service::Kind kind) {
  return {.kind = static_cast<std::uint8_t>(kind)};
}

class hostile_calls : public testing::TestWithParam<Mechanism> {
 protected:
  using Ends = std::pair<Channel, Channel>;

  static Ends new_ends() { return or_throw(pair(GetParam(), {.trust = Trust::untrusted})); }
  void begin_anew() { ends_ = new_ends(); }
  Channel& victim() { return ends_.first; }
  Channel& attacker() { return ends_.second; }
  template <class Frame> void say(const Frame& frame) {
    static_cast<void>(attacker().send(std::as_bytes(std::span{&frame, 1}), 1ms));
  }

 private:
  Ends ends_ = new_ends();
};
INSTANTIATE_TEST_SUITE_P(mechanisms, hostile_calls,
                         testing::Values(Mechanism::unix_socket, Mechanism::shm),
                         [](const auto& chosen) { return std::string(to_string(chosen.param)); });

TEST_P(hostile_calls, a_flood_of_answers_to_nothing_does_not_stop_the_deadline_of_a_call) {
  const Remote<Oracle> remote{victim()};
  auto nobodys = header(service::Kind::reply);
  nobodys.call = 1'000'000;
  const Flood flood{[&] { say(nobodys); }};
  const Waiting waiting{"the deadline of a call"};
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(within(5ms, remote).ask("?").error(), ErrorKind::timed_out);
  }
}

TEST_P(hostile_calls, a_flood_of_calls_does_not_stop_the_deadline_of_serving) {
  struct {
    service::FrameHeader frame = header(service::Kind::one_way);
    std::uint64_t arguments = 0;  // none, in the wire format
  } thanks;
  thanks.frame.method = method(1);
  const Flood flood{[&] { say(thanks); }};
  const Waiting waiting{"the deadline of serve"};
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(serve<Oracle>(victim(), Pythia{}, 5ms).error(), ErrorKind::timed_out);
  }
}

TEST_P(hostile_calls, with_any_number_in_any_field_are_values) {
  constexpr std::uint64_t high = std::uint64_t{1} << 31;
  constexpr std::uint64_t higher = std::uint64_t{1} << 32;
  constexpr std::uint64_t highest = std::uint64_t{1} << 63;
  const std::uint64_t numbers[] = {
      0,      1,          32,      33,          high - 1,         high, high + 1, higher - 1,
      higher, higher + 1, highest, highest - 1, ~std::uint64_t{0}};
  for (int kind = 1; kind <= 7; ++kind) {
    // Nobody waits for an answer to a one-way call: of one that cannot be run the session ends.
    const bool ends = kind == static_cast<int>(service::Kind::one_way);
    for (const std::uint64_t number : numbers) {
      begin_anew();
      auto frame = header(static_cast<service::Kind>(kind));
      frame.credit = static_cast<std::uint32_t>(number);
      frame.call = number;
      frame.budget_ns = static_cast<std::int64_t>(number);
      say(frame);
      frame.call = 1;
      say(frame);
      frame.method = method(0);
      say(frame);
      const Waiting waiting{"the deadline of serve"};
      // An end comes by itself, however slow the machine; where none comes there is nothing to wait for.
      const auto served = serve<Oracle>(victim(), Pythia{}, ends ? Deadline{20s} : Deadline{1ms});
      EXPECT_EQ(served.error(), ends ? ErrorKind::incompatible : ErrorKind::timed_out)
          << kind << " " << number;
    }
  }
}

}  // namespace

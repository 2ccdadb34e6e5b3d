// SPDX-License-Identifier: Apache-2.0
//
// A1, A2, A3, A13, A22, A50: a peer that keeps to nothing. Every call of the victim ends, and the
// worst is that it loses this link.
#include "transport/shm/hostile_peer.hpp"

#include <atomic>
#include <fcntl.h>
#include <random>
#include <string>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BULKHEAD_TEST_SANITIZED 1
#else
#define BULKHEAD_TEST_SANITIZED 0
#endif

namespace bulkhead::transport::shm {
namespace {

using namespace std::chrono_literals;

constexpr ChannelOptions small{
    .trust = Trust::untrusted, .capacity_bytes = 65536, .max_message_bytes = 1 << 20};

/// What every later call must answer, whatever it was that broke the link.
void expect_lost(Link& victim, ErrorKind kind) {
  Message message;
  EXPECT_EQ(victim.receive(message, never).error(), kind);
  EXPECT_EQ(victim.receive(message, no_wait).error(), kind);
  EXPECT_EQ(victim.send(as_bytes("x"), {}, never).error(), kind);
  EXPECT_EQ(victim.loan(8, never).error(), kind);
}

std::vector<std::uint64_t> boundary_values(std::uint64_t capacity) {
  std::vector<std::uint64_t> values;
  for (std::uint64_t base : {std::uint64_t{0}, std::uint64_t{8}, capacity / 2, capacity,
                             2 * capacity, std::uint64_t{1} << 31, std::uint64_t{1} << 32,
                             std::uint64_t{1} << 63, ~std::uint64_t{0} - 7}) {
    for (std::int64_t off : {-16, -8, -7, -1, 0, 1, 4, 7, 8, 16}) {
      values.push_back(base + static_cast<std::uint64_t>(off));
    }
  }
  return values;
}

TEST(shm_hostile_peer, whose_tail_lies_is_corrupt_for_ever) {
  for (const std::uint64_t lie : boundary_values(65536)) {
    if (lie % 8 == 0 && lie <= 65536) continue;  // not a lie about the tail; records come below
    HostilePeer peer{small};
    peer.greet();
    peer.words().tail = lie;
    Message message;
    EXPECT_EQ(peer.victim().receive(message, 5s).error(), ErrorKind::corrupt) << lie;
    expect_lost(peer.victim(), ErrorKind::corrupt);
  }
}

TEST(shm_hostile_peer, whose_tail_goes_back_is_corrupt) {
  HostilePeer peer{small};
  peer.greet();
  peer.put(0, {.size = 0, .flags = 0});
  peer.put(8, {.size = 0, .flags = 0});
  peer.words().tail = 16;
  Message message;
  EXPECT_TRUE(peer.victim().receive(message, 5s).has_value());
  EXPECT_TRUE(peer.victim().receive(message, 5s).has_value());
  peer.words().tail = 8;
  EXPECT_EQ(peer.victim().receive(message, 5s).error(), ErrorKind::corrupt);
}

TEST(shm_hostile_peer, whose_head_lies_is_corrupt) {
  for (const std::uint64_t lie : boundary_values(65536)) {
    HostilePeer peer{small};
    peer.greet();
    std::vector<std::byte> message(1016);
    for (int i = 0; i < 64; ++i) {
      ASSERT_TRUE(peer.victim().send(message, {}, never).has_value());  // 64 records of 1 KiB: full
    }
    peer.words().head = lie;
    const auto sent = peer.victim().send(message, {}, 1ms);
    if (lie % 8 != 0 || lie > 65536) {
      EXPECT_EQ(sent.error(), ErrorKind::corrupt) << lie;
      expect_lost(peer.victim(), ErrorKind::corrupt);
    } else if (lie >= 1024) {
      EXPECT_TRUE(sent.has_value()) << lie;
    } else {
      EXPECT_EQ(sent.error(), ErrorKind::timed_out) << lie;
    }
  }
}

TEST(shm_hostile_peer, whose_record_has_an_impossible_size_is_corrupt) {
  // A13: against what is published, and against half the ring.
  for (const std::uint64_t size : boundary_values(65536)) {
    const auto claimed = static_cast<std::uint32_t>(size);
    for (const std::uint64_t published :
         {std::uint64_t{8}, std::uint64_t{1024}, std::uint64_t{65536}}) {
      HostilePeer peer{small};
      peer.greet();
      peer.put(0, {.size = claimed, .flags = RecordHeader::none});
      peer.words().tail = published;
      Message message;
      const auto received = peer.victim().receive(message, 5s);
      const bool possible =
          record_bytes(claimed) <= published && record_bytes(claimed) <= 65536 / 2;
      ASSERT_EQ(received.has_value(), possible) << claimed << " of " << published;
      if (!possible) {
        EXPECT_EQ(received.error(), ErrorKind::corrupt);
        expect_lost(peer.victim(), ErrorKind::corrupt);
      }
    }
  }
}

TEST(shm_hostile_peer, whose_pieces_make_no_message_is_corrupt) {
  using H = RecordHeader;
  struct Lie {
    const char* what;
    std::vector<H> records;
    std::vector<std::uint64_t> totals;
  };
  const std::vector<Lie> lies = {
      {"a flag that does not exist", {{.size = 8, .flags = 16}}, {0}},
      {"the highest flag", {{.size = 8, .flags = 1U << 31}}, {0}},
      {"a piece of nothing", {{.size = 8, .flags = H::next}}, {0}},
      {"taken back, of nothing", {{.size = 0, .flags = H::abort | H::next}}, {0}},
      {"taken back, with bytes",
       {{.size = 16, .flags = H::more}, {.size = 8, .flags = H::abort | H::next}},
       {100, 0}},
      {"taken back, as a first piece",
       {{.size = 16, .flags = H::more}, {.size = 0, .flags = H::abort}},
       {100, 0}},
      {"a first piece without a total", {{.size = 0, .flags = H::more}}, {0}},
      {"a total above the maximum", {{.size = 16, .flags = H::more}}, {(1 << 20) + 1}},
      {"a total that overflows", {{.size = 16, .flags = H::more}}, {~std::uint64_t{0}}},
      {"more than its total", {{.size = 24, .flags = H::more}}, {8}},
      {"less than its total",
       {{.size = 16, .flags = H::more}, {.size = 8, .flags = H::next}},
       {1000, 0}},
      {"a message inside another",
       {{.size = 16, .flags = H::more}, {.size = 8, .flags = H::none}},
       {1000, 0}},
      {"an empty message inside another",
       {{.size = 16, .flags = H::more}, {.size = 0, .flags = H::none}},
       {1000, 0}},
      {"a larger message inside another",
       {{.size = 16, .flags = H::more}, {.size = 16, .flags = H::more}},
       {1000, 1000}},
      {"handles that were not sent", {{.size = 8, .flags = H::handles}}, {0}},
      {"handles in a later piece",
       {{.size = 16, .flags = H::more}, {.size = 8, .flags = H::next | H::handles}},
       {16, 0}},
  };
  for (const Lie& lie : lies) {
    HostilePeer peer{small};
    peer.greet();
    std::uint64_t at = 0;
    for (std::size_t i = 0; i < lie.records.size(); ++i) {
      peer.put(at, lie.records[i]);
      std::memcpy(peer.ring() + at + header_bytes, &lie.totals[i], sizeof lie.totals[i]);
      at += record_bytes(lie.records[i].size);
    }
    peer.words().tail = at;
    Message message;
    const auto received = peer.victim().receive(message, 5s);
    ASSERT_FALSE(received.has_value()) << lie.what;
    EXPECT_EQ(received.error(), ErrorKind::corrupt) << lie.what;
    expect_lost(peer.victim(), ErrorKind::corrupt);
  }
}

TEST(shm_hostile_peer, that_promises_much_gets_memory_only_for_what_it_sent) {
  ChannelOptions options{.trust = Trust::untrusted};
  options.max_message_bytes = std::size_t{1} << 45;  // more than any machine has
  HostilePeer peer{options};
  peer.greet();
  peer.put(0, {.size = 16, .flags = RecordHeader::more});
  const std::uint64_t total = std::uint64_t{1} << 44;
  std::memcpy(peer.ring() + header_bytes, &total, sizeof total);
  peer.words().tail = 24;
  Message message;
  EXPECT_EQ(peer.victim().receive(message, 1ms).error(), ErrorKind::timed_out);
}

TEST(shm_hostile_peer, whose_waiting_words_lie_costs_at_most_a_ring_each_message) {
  HostilePeer peer{small};
  peer.greet();
  std::mt19937_64 random{3};
  std::vector<std::byte> message(56);
  for (int i = 0; i < 20'000; ++i) {
    peer.words().wait_data = random();
    peer.words().wait_space = random();
    peer.words().cpu = static_cast<std::uint32_t>(random());
    peer.words().rang_data_at = random();
    peer.words().rang_space_at = random();
    ASSERT_TRUE(peer.victim().send(message, {}, never).has_value());
    // An honest reader otherwise, and a record for the victim to read.
    peer.words().head = 64U * static_cast<std::uint64_t>(i + 1);
    peer.put(8U * static_cast<std::uint64_t>(i), {.size = 0, .flags = 0});
    peer.words().tail = 8U * static_cast<std::uint64_t>(i + 1);
    Message received;
    ASSERT_TRUE(peer.victim().receive(received, never).has_value());
  }
}

TEST(shm_hostile_peer, that_stops_every_bell_cannot_make_the_victim_wait_past_its_deadline) {
  HostilePeer peer{small};
  peer.greet();
  Message message;
  EXPECT_EQ(peer.victim().receive(message, 5ms).error(), ErrorKind::timed_out);
  std::vector<std::byte> large(30'000);
  while (peer.victim().send(large, {}, 5ms).has_value()) {
  }
  EXPECT_EQ(peer.victim().send(large, {}, 5ms).error(), ErrorKind::timed_out);
  EXPECT_EQ(peer.victim().send(large, {}, no_wait).error(), ErrorKind::full);
}

TEST(shm_hostile_peer, that_rings_for_ever_burns_little_of_the_victim_threaded) {
  HostilePeer peer{small};
  peer.greet();
  Message first;
  EXPECT_EQ(peer.victim().receive(first, 1ms).error(), ErrorKind::timed_out);
  std::atomic<bool> stop{false};
  std::thread ringer{[&] {
    while (!stop) peer.data_bell().ring();
  }};
  timespec before{};
  timespec after{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
  const auto began = std::chrono::steady_clock::now();
  Message message;
  EXPECT_EQ(peer.victim().receive(message, 500ms).error(), ErrorKind::timed_out);
  const auto took = std::chrono::steady_clock::now() - began;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
  stop = true;
  ringer.join();
  const auto burnt = std::chrono::seconds{after.tv_sec - before.tv_sec} +
                     std::chrono::nanoseconds{after.tv_nsec - before.tv_nsec};
  EXPECT_LT(burnt, took / 10) << "of a core";
  // And what is sent is still noticed.
  peer.put(0, {.size = 0, .flags = 0});
  peer.words().tail = 8;
  EXPECT_TRUE(peer.victim().receive(message, never).has_value());
}

TEST(shm_hostile_peer, that_says_hello_wrongly_is_refused_and_every_descriptor_closed) {
  // A22, A18: whatever comes as a hello; the census after the test counts the descriptors.
  std::mt19937_64 random{11};
  const Fd zero = Fd::adopt(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  const int rounds = BULKHEAD_TEST_SANITIZED ? 300 : 2'000;
  for (int i = 0; i < rounds; ++i) {
    HostilePeer peer{small};
    std::vector<std::byte> bytes(random() % 64);
    for (auto& byte : bytes) byte = static_cast<std::byte>(random());
    if (i % 2 == 0 && bytes.size() >= sizeof(PacketHead)) {
      const PacketHead head{.magic = magic,
                            .kind = static_cast<std::uint16_t>(1 + random() % 7),
                            .version = protocol_version};
      std::memcpy(bytes.data(), &head, sizeof head);
    }
    const std::vector<int> fds(random() % 20, zero.native());
    if (bytes.empty()) bytes.resize(1);
    ASSERT_TRUE(os::send_packet(peer.control(), bytes, fds).has_value());
    Message message;
    const auto received = peer.victim().receive(message, 5s);
    ASSERT_FALSE(received.has_value());
    EXPECT_TRUE(received.error() == ErrorKind::corrupt ||
                received.error() == ErrorKind::incompatible ||
                received.error() == ErrorKind::closed)
        << received.error();
  }
}

TEST(shm_hostile_peer, that_passes_wrong_descriptors_in_a_good_hello_is_corrupt) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd reading = Fd::adopt(ends[0]);
  const Fd writing = Fd::adopt(ends[1]);
  const Fd zero = Fd::adopt(::open("/dev/zero", O_RDWR | O_CLOEXEC));
  const Fd event = Fd::adopt(::eventfd(0, EFD_CLOEXEC));
  const Fd socket = Fd::adopt(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  for (const Fd* segment : {&reading, &zero, &event, &socket, static_cast<const Fd*>(nullptr)}) {
    for (const Fd* bell : {&writing, &zero, &socket, &event}) {
      if (segment == nullptr && bell == &event) continue;  // that one would be right
      HostilePeer peer{small};
      auto own = OwnSegment::create(65536, 0, nullptr);
      const Fd file = own->take_file();
      const FdView shown = segment != nullptr ? segment->view() : file.view();
      ASSERT_TRUE(
          Control{peer.control()}.send_hello(65536, Trust::equal, shown, *bell, *bell).has_value());
      Message message;
      EXPECT_EQ(peer.victim().receive(message, 5s).error(), ErrorKind::corrupt);
      expect_lost(peer.victim(), ErrorKind::corrupt);
    }
  }
}

TEST(shm_hostile_peer, that_sends_malformed_handles_is_corrupt_and_every_descriptor_closed) {
  std::mt19937_64 random{13};
  const Fd zero = Fd::adopt(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  const int rounds = BULKHEAD_TEST_SANITIZED ? 300 : 2'000;
  for (int i = 0; i < rounds; ++i) {
    HostilePeer peer{small};
    peer.greet();
    const std::uint32_t count = static_cast<std::uint32_t>(random() % 24);
    std::vector<std::byte> bytes(sizeof(PacketHead) + 8 + 2 * (random() % 24));
    for (auto& byte : bytes) byte = static_cast<std::byte>(random() % 4);
    const PacketHead head{.magic = magic, .kind = PacketHead::handles, .version = protocol_version};
    std::memcpy(bytes.data(), &head, sizeof head);
    std::memcpy(bytes.data() + sizeof head, &count, sizeof count);
    const std::vector<int> fds(random() % 24, zero.native());
    ASSERT_TRUE(os::send_packet(peer.control(), bytes, fds).has_value());
    peer.put(0, {.size = 0, .flags = RecordHeader::handles});
    peer.words().tail = 8;
    Message message;
    const auto received = peer.victim().receive(message, 5s);
    const bool well_formed = count == fds.size() && count <= 16 &&
                             bytes.size() == sizeof head + 8 + 2 * std::size_t{count};
    ASSERT_TRUE(well_formed || !received);
    if (!received) {
      EXPECT_EQ(received.error(), ErrorKind::corrupt) << received.error();
    }
  }
}

TEST(shm_hostile_peer, that_writes_at_random_only_loses_its_own_link_threaded) {
  // A3: words and ring change while the victim works on them.
  std::mt19937_64 seeds{17};
  const int links = BULKHEAD_TEST_SANITIZED ? 60 : 400;
  for (int i = 0; i < links; ++i) {
    HostilePeer peer{small};
    peer.greet(4096);
    std::atomic<bool> stop{false};
    std::thread attacker{[&, seed = seeds()] {
      std::mt19937_64 random{seed};
      std::uint64_t tail = 0;
      const auto atomic = [&](std::uint64_t at) -> std::atomic<std::uint64_t>& {
        return *reinterpret_cast<std::atomic<std::uint64_t>*>(peer.ring() + at % 4096 / 8 * 8);
      };
      while (!stop) {
        switch (random() % 16) {
          case 0:
            if (random() % 64 == 0) peer.words().tail = random();
            break;
          case 1:
            if (random() % 64 == 0) peer.words().head = random() % 4096 * 8;
            break;
          case 2:
            peer.words().wait_data = random();
            peer.words().wait_space = random();
            break;
          case 3:
            peer.words().cpu = static_cast<std::uint32_t>(random() % 4);
            peer.words().rang_data_at = random();
            break;
          case 4:
            if (random() % 256 == 0) peer.words().closed = 1;
            break;
          case 5:
            peer.data_bell().ring();
            break;
          case 6:
            peer.space_bell().ring();
            break;
          case 7:
            atomic(random()) = random();
            break;
          default:  // plausible: small records of every kind, changed again at once
            atomic(tail) =
                RecordHeader{
                    .size = static_cast<std::uint32_t>(random() % 48),
                    .flags = random() % 8 == 0 ? static_cast<std::uint32_t>(random() % 20) : 0}
                    .packed();
            tail += 8 * (1 + random() % 6);
            peer.words().tail = tail;
            atomic(tail - 8) = random() % 64;
        }
      }
    }};
    Message message;
    std::vector<std::byte> bytes(100);
    for (int turn = 0; turn < 200; ++turn) {
      static_cast<void>(peer.victim().receive(message, turn % 4 == 0 ? no_wait : Deadline{200us}));
      static_cast<void>(peer.victim().send(bytes, {}, no_wait));
      static_cast<void>(peer.victim().loan(64, no_wait));
      peer.victim().abandon();
    }
    stop = true;
    attacker.join();
  }
}

}  // namespace
}  // namespace bulkhead::transport::shm

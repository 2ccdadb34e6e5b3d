// SPDX-License-Identifier: Apache-2.0
//
// A peer that keeps to nothing: `hostile_peer KIND SEED`. On descriptor 3 it is given one end of a
// connection after the other (a packet of one byte with a descriptor) and does to each what its
// kind says, until the victim hangs up; then it takes the next. On descriptor 4 is a counter of
// lies, for the test to see. A link's first lies are such that it may live on, up to a random
// moment: else hardly any would be looked at. Kinds:
//   cursors   shm: random and boundary values in tail and head, over a ring of random bytes
//   lengths   shm: records with random and boundary sizes, flags and totals
//   epochs    shm: wait words, processor, ring times and bells at random, cursors honest
//   race      shm: headers and payloads of published records change all the time (A3)
//   control   shm: random packets with random descriptors, before and after the hello
//   frames    unix: random packets with random descriptors, most of them nearly right
#include <array>
#include <atomic>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <poll.h>
#include <random>
#include <string>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <bulkhead/region.hpp>

#include "os/poll.hpp"
#include "os/socket.hpp"
#include "transport/shm/bell.hpp"
#include "transport/shm/control.hpp"
#include "transport/shm/hostile_view.hpp"
#include "transport/shm/segment.hpp"
#include "transport/unix_frame.hpp"

namespace {

using namespace bulkhead;
using namespace bulkhead::transport::shm;
namespace frames = bulkhead::transport::unix_frame;

constexpr std::size_t capacity = 4096;

std::mt19937_64 random_bits;
std::uint64_t dice(std::uint64_t sides) { return random_bits() % sides; }

/// Where arithmetic goes wrong.
std::uint64_t boundary() {
  constexpr std::array<std::uint64_t, 11> bases{0,
                                                8,
                                                capacity / 2,
                                                capacity,
                                                2 * capacity,
                                                std::uint64_t{1} << 20,
                                                std::uint64_t{1} << 31,
                                                std::uint64_t{1} << 32,
                                                std::uint64_t{1} << 62,
                                                std::uint64_t{1} << 63,
                                                0};
  constexpr std::array<std::uint64_t, 7> offsets{0, 1,  ~std::uint64_t{0}, 7,
                                                 8, 16, ~std::uint64_t{7}};
  return bases[dice(bases.size())] + offsets[dice(offsets.size())];
}
/// The moment has come, and the dice say so: a lie that ends the link when it is seen.
bool deadly(std::uint64_t step);
std::uint64_t any_value() { return dice(2) == 0 ? boundary() : random_bits(); }

std::uint64_t doom = 0;
bool deadly(std::uint64_t step) { return step >= doom && dice(4) == 0; }
void choose_doom() { doom = dice(8) == 0 ? 0 : dice(20'000); }

std::atomic<std::uint64_t>* lies = nullptr;

/// Descriptors of twelve kinds, to be passed where none or others are due.
std::vector<Fd> make_descriptors() {
  std::vector<Fd> fds;
  const auto add = [&](int fd) {
    if (fd >= 0) fds.push_back(Fd::adopt(fd));
  };
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) == 0) add(ends[0]), add(ends[1]);
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0) add(ends[0]), add(ends[1]);
  add(::open("/dev/zero", O_RDWR | O_CLOEXEC));
  add(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  add(::open("/", O_PATH | O_CLOEXEC));
  add(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  add(::eventfd(0, EFD_CLOEXEC));
  add(::epoll_create1(EPOLL_CLOEXEC));
  add(::memfd_create("unsealed", MFD_CLOEXEC));
  add(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return fds;
}

std::vector<int> some_descriptors(const std::vector<Fd>& all, std::size_t most) {
  std::vector<int> chosen(dice(4) == 0 ? dice(most + 1) : dice(3));
  for (int& fd : chosen) fd = all[dice(all.size())].native();
  return chosen;
}

bool hung_up(FdView socket) {
  const auto events = os::poll_one(socket, POLLRDHUP, os::no_wait);
  return !events || *events != 0;
}

/// The other end of a shm link, with every word open.
class ShmPeer {
 public:
  explicit ShmPeer(FdView control)
      : control_(control),
        segment_(or_exit(OwnSegment::create(capacity, 0, nullptr))),
        data_bell_(or_exit(Bell::create(Trust::equal))),
        space_bell_(or_exit(Bell::create(Trust::equal))) {}

  bool greet() {
    const Fd file = segment_.take_file();
    if (!Control{control_}.send_hello(capacity, Trust::equal, file, data_bell_.passing(),
                                      space_bell_.passing())) {
      return false;
    }
    for (;;) {
      auto theirs = Control{control_}.receive_hello();
      if (theirs) {
        auto attached = PeerSegment::attach(std::move(theirs->segment), theirs->capacity, nullptr);
        if (!attached) return false;
        victim_.emplace(std::move(*attached));
        words().mapped = 1;
        return Control{control_}.send_moved().has_value();
      }
      if (theirs.error() != ErrorKind::empty) return false;
      static_cast<void>(os::poll_one(control_, POLLIN | POLLRDHUP, never));
    }
  }

  Words& words() { return segment_.words(); }
  PeerWords victim() const { return PeerWords{victim_->words()}; }
  void ring() { dice(2) == 0 ? data_bell_.ring() : space_bell_.ring(); }
  std::atomic<std::uint64_t>& word_at(std::uint64_t cursor) {
    return *reinterpret_cast<std::atomic<std::uint64_t>*>(segment_.ring() +
                                                          cursor % capacity / 8 * 8);
  }
  bool has_room(std::uint64_t bytes) const { return tail + bytes - victim().head() <= capacity; }
  /// A record that may be believed, published.
  void publish(RecordHeader header) {
    word_at(tail) = header.packed();
    tail += record_bytes(header.size);
    words().tail = tail;
  }
  void read_all() { words().head = victim().tail(); }

  std::uint64_t tail = 0;

 private:
  FdView control_;
  OwnSegment segment_;
  Bell data_bell_;
  Bell space_bell_;
  std::optional<PeerSegment> victim_;
};

void lie_about_cursors(ShmPeer& peer, std::uint64_t step) {
  if (deadly(step)) {
    (dice(2) == 0 ? peer.words().tail : peer.words().head) = any_value();
  } else if (dice(3) != 0) {
    if (peer.has_room(16)) peer.publish({.size = static_cast<std::uint32_t>(dice(9)), .flags = 0});
  } else {
    // Forward, or, as the victim may have seen a later one, back.
    peer.words().head = peer.victim().tail() - (step >= doom ? 8 * dice(4) : 0);
  }
}

void lie_about_lengths(ShmPeer& peer, std::uint64_t step) {
  const bool now = deadly(step);
  const std::uint32_t size = static_cast<std::uint32_t>(now ? any_value() : dice(2041));
  const std::uint32_t flags = static_cast<std::uint32_t>(!now           ? 0
                                                         : dice(2) == 0 ? dice(32)
                                                                        : any_value());
  const std::uint64_t room = size <= capacity / 2 ? record_bytes(size) : capacity / 2;
  peer.read_all();
  if (!peer.has_room(room)) return;
  peer.word_at(peer.tail + 8) = any_value();  // a total, where one is looked for
  peer.word_at(peer.tail) = RecordHeader{.size = size, .flags = flags}.packed();
  peer.tail += room;
  peer.words().tail = peer.tail;
}

void lie_about_epochs(ShmPeer& peer) {
  peer.words().wait_data = any_value();
  peer.words().wait_space = any_value();
  peer.words().cpu = static_cast<std::uint32_t>(dice(2) == 0 ? dice(4) : any_value());
  peer.words().rang_data_at = any_value();
  peer.words().rang_space_at = any_value();
  if (dice(8) == 0) peer.ring();
  if (peer.has_room(64)) peer.publish({.size = static_cast<std::uint32_t>(dice(49)), .flags = 0});
  peer.read_all();
  if (dice(20'000) == 0) peer.words().closed = 1;
}

/// Whatever is published is exchanged at once: sizes of 64 and 1000, any payload.
void race(ShmPeer& peer, std::uint64_t step) {
  const RecordHeader small{.size = 64, .flags = 0};
  const RecordHeader large{.size = 1000, .flags = 0};
  if (peer.has_room(record_bytes(1000))) peer.publish(dice(2) == 0 ? small : large);
  const std::uint64_t from = peer.victim().head();
  for (int i = 0; i < 16; ++i) {
    // At any place: wherever the next record is taken to begin, there is a header.
    auto& word = peer.word_at(from + 8 * dice(160));
    word = deadly(step) ? any_value() : (dice(2) == 0 ? small.packed() : large.packed());
  }
  peer.read_all();
}

void lie_on_the_control_socket(ShmPeer& peer, FdView control, const std::vector<Fd>& kinds,
                               std::uint64_t step) {
  // A few packets under way and no more, or the limit on descriptors in flight ends the fun.
  if (peer.victim().head() + 600 < peer.tail) return;
  const bool now = deadly(100 * step);
  const auto fds = some_descriptors(kinds, now ? 20 : 16);
  const std::uint32_t count = now && dice(2) == 0 ? static_cast<std::uint32_t>(any_value())
                                                  : static_cast<std::uint32_t>(fds.size());
  const auto odd = [&] { return now && dice(4) == 0; };
  std::vector<std::byte> bytes(sizeof(PacketHead) + 8 + 2 * (odd() ? dice(40) : fds.size()));
  const PacketHead head{
      .magic = odd() ? static_cast<std::uint32_t>(random_bits()) : magic,
      .kind = odd() ? static_cast<std::uint16_t>(dice(7)) : std::uint16_t{PacketHead::handles},
      .version = odd() ? static_cast<std::uint16_t>(dice(5)) : protocol_version};
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(dice(odd() ? 256 : 3));
  std::memcpy(bytes.data(), &head, sizeof head);
  std::memcpy(bytes.data() + sizeof head, &count, sizeof count);
  if (!os::send_packet(control, bytes, fds)) return;
  ++*lies;
  peer.publish({.size = 8, .flags = odd() ? 0U : std::uint32_t{RecordHeader::handles}});
  peer.read_all();
}

void serve_shm(const std::string& kind, FdView control, const std::vector<Fd>& kinds) {
  if (kind == "control" && dice(4) == 0) {
    std::vector<std::byte> bytes(1 + dice(64));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random_bits());
    const PacketHead head{.magic = magic,
                          .kind = static_cast<std::uint16_t>(1 + dice(6)),
                          .version = static_cast<std::uint16_t>(dice(4))};
    if (bytes.size() >= sizeof head && dice(2) == 0) std::memcpy(bytes.data(), &head, sizeof head);
    static_cast<void>(os::send_packet(control, bytes, some_descriptors(kinds, 20)));
    return;
  }
  ShmPeer peer{control};
  if (kind == "control" && dice(8) == 0) {
    // A good hello with descriptors of other kinds.
    static_cast<void>(Control{control}.send_hello(capacity, Trust::equal, kinds[dice(kinds.size())],
                                                  kinds[dice(kinds.size())],
                                                  kinds[dice(kinds.size())]));
    static_cast<void>(os::poll_one(control, POLLRDHUP, never));
    return;
  }
  if (!peer.greet()) return;
  for (std::uint64_t step = 0; step % 8 != 0 || !hung_up(control); ++step) {
    if (kind == "cursors") lie_about_cursors(peer, step);
    if (kind == "lengths") lie_about_lengths(peer, step);
    if (kind == "epochs") lie_about_epochs(peer);
    if (kind == "race") race(peer, step);
    if (kind == "control") lie_on_the_control_socket(peer, control, kinds, step);
    if (kind != "control") ++*lies;
    if (dice(16) == 0) peer.ring();
  }
}

void serve_unix(FdView socket, const std::vector<Fd>& kinds) {
  const auto say = [&](frames::Header header, std::span<const std::byte> payload,
                       std::span<const int> fds) {
    std::vector<std::byte> bytes(sizeof header + payload.size() + 2 * fds.size());
    std::memcpy(bytes.data(), &header, sizeof header);
    if (!payload.empty()) std::memcpy(bytes.data() + sizeof header, payload.data(), payload.size());
    for (std::size_t i = 0; i < 2 * fds.size(); ++i) {
      bytes[bytes.size() - 1 - i] = static_cast<std::byte>(dice(doom == 0 ? 4 : 3));
    }
    for (;;) {
      auto sent = os::send_packet(socket, bytes, fds);
      if (sent) return true;
      if (sent.error() == ErrorKind::full) {
        if (!os::poll_one(socket, POLLOUT, never)) return false;
      } else if (sent.error() == ErrorKind::closed) {
        return false;
      } else {
        ::sched_yield();  // too many descriptors under way
        if (hung_up(socket)) return false;
      }
      std::array<std::byte, 4096> nothing;
      static_cast<void>(os::receive_packet(socket, nothing, 253));
    }
  };
  const frames::Hello hello{};
  if (dice(16) != 0 &&
      !say({.type = 1, .payload = sizeof hello}, std::as_bytes(std::span{&hello, 1}), {})) {
    return;
  }
  std::vector<std::byte> payload(1024, std::byte{7});
  for (std::uint64_t step = 0;; ++step) {
    const bool now = deadly(20 * step);
    const auto odd = [&] { return now && dice(3) == 0; };
    const auto fds = dice(8) == 0 ? some_descriptors(kinds, 20) : std::vector<int>{};
    const auto some = std::span{payload}.first(dice(2) == 0 ? dice(64) : dice(payload.size()));
    // Pieces and handles, whole or given up; a whole message inside another is a lie too.
    const auto type = static_cast<std::uint8_t>(dice(4) == 0 ? 5 : 3 + dice(2));
    const frames::Header header{
        .type = odd() ? static_cast<std::uint8_t>(dice(256)) : type,
        .last = static_cast<std::uint8_t>(dice(8) != 0),
        .handles = static_cast<std::uint16_t>(odd() ? any_value() : fds.size()),
        .payload = static_cast<std::uint32_t>(odd() ? any_value() : some.size())};
    // In the middle of a message only pieces go on, until it is given up.
    if (header.type == 3 && header.last == 0 &&
        !(say(header, some, fds) && say({.type = now ? type : std::uint8_t{5}}, {}, {}))) {
      return;
    }
    if (header.last != 0 && !say(header, some, fds)) return;
    ++*lies;
  }
}

}  // namespace

int main(int, char** argv) {
  const std::string kind = argv[1];
  random_bits.seed(std::strtoull(argv[2], nullptr, 10));
  const Fd supply = Fd::adopt(3);
  const auto counter = or_exit(Region::attach(Fd::adopt(4), Trust::equal));
  lies =
      reinterpret_cast<std::atomic<std::uint64_t>*>(const_cast<std::byte*>(counter.bytes().data()));
  const auto kinds = make_descriptors();
  for (;;) {
    choose_doom();
    std::array<std::byte, 8> byte;
    if (!os::poll_one(supply, POLLIN | POLLRDHUP, never)) return 1;
    auto packet = os::receive_packet(supply, byte, 1);
    if (!packet || packet->closed || packet->fds.empty()) return 0;
    if (kind == "frames") {
      serve_unix(packet->fds[0], kinds);
    } else {
      serve_shm(kind, packet->fds[0], kinds);
    }
  }
}

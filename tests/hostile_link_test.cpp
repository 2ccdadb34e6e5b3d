// SPDX-License-Identifier: Apache-2.0
//
// A hostile program at the other end of a link (tests/children/hostile_peer.cpp): 100,000 operations
// of each kind, against cursors, lengths, epochs, control packets and frames that lie. Whatever it
// does is a value here, costs that link alone, and leaves no descriptor. (A3, A13, A18, A22; the
// same inside one process, lie by lie: src/transport/shm/hostile_peer_test.cpp and
// src/transport/unix_socket_test.cpp.)
#include <array>
#include <atomic>
#include <filesystem>
#include <gtest/gtest.h>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <bulkhead/bulkhead.hpp>

#include "channel/channel_state.hpp"
#include "os/socket.hpp"
#include "support/children.hpp"
#include "support/process_roles.hpp"
#include "support/soak.hpp"
#include "support/watchdog.hpp"
#include "transport/link.hpp"

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;
using test::soaked;

struct Oracle {
  std::string ask(std::string text);
};
BULKHEAD_INTERFACE(Oracle, ask)

constexpr std::size_t most_bytes = 1 << 20;

std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, {});
}

/// Two honest ends, one of them in another process: what must go on whatever happens elsewhere.
class Bystander {
 public:
  explicit Bystander(Mechanism mechanism) {
    auto ends = or_throw(pair(mechanism));
    const Handle handle = or_throw(std::move(ends.second).into_handle());
    child_.emplace(test::Child::start(
        "channel_peer", {"echo", std::to_string(static_cast<int>(mechanism))}, {handle.fd()}));
    channel_.emplace(std::move(ends.first));
  }
  void expect_undisturbed() {
    ASSERT_TRUE(channel_->send(as_bytes("still there?"), 20s));
    const auto answer = channel_->receive(20s);
    ASSERT_TRUE(answer) << answer.error();
    ASSERT_EQ(answer->text(), "still there?");
  }

 private:
  std::optional<test::Child> child_;
  std::optional<Channel> channel_;
};

/// The hostile process. It attacks one link after the other.
class Attacker {
 public:
  Attacker(const std::string& kind, Mechanism mechanism) : mechanism_(mechanism) {
    auto ends = or_throw(os::socket_pair());
    supply_ = std::move(ends.first);
    child_.emplace(
        test::Child::start("hostile_peer", {kind, "4711"}, {ends.second, counter_.descriptor()}));
  }
  pid_t pid() const { return child_->pid(); }
  /// How often it has lied.
  std::uint64_t lies() {
    return *reinterpret_cast<std::atomic<std::uint64_t>*>(counter_.mutable_bytes().data());
  }

  /// Our end of a link whose other end it has.
  Channel attacked(Trust trust) {
    auto ends = or_throw(os::socket_pair());
    const std::array fds{ends.second.native()};
    or_throw(os::send_packet(supply_, as_bytes("!"), fds));
    auto link = or_throw(transport::adopt(
        Handle{std::move(ends.first), Handle::Kind::channel, static_cast<std::uint8_t>(mechanism_)},
        {.trust = trust, .capacity_bytes = 4096, .max_message_bytes = most_bytes}));
    return detail::ChannelState::make(std::move(link), trust);
  }

 private:
  Mechanism mechanism_;
  Region counter_ = or_throw(Region::create(4096));
  Fd supply_;
  std::optional<test::Child> child_;
};

/// What a caller may be told while its link lives, and how a link may end.
bool is_later(const Error& error) {
  return error == ErrorKind::timed_out || error == ErrorKind::full || error == ErrorKind::empty;
}
bool is_end(const Error& error) {
  return error == ErrorKind::corrupt || error == ErrorKind::closed ||
         error == ErrorKind::peer_died || error == ErrorKind::incompatible;
}

/// Every byte is read, so that a sanitizer sees where they lie.
void look_at(Bytes bytes) {
  ASSERT_LE(bytes.size(), most_bytes);
  std::byte sum{};
  for (const std::byte byte : bytes) sum ^= byte;
  const volatile std::byte seen = sum;
  static_cast<void>(seen);
}

class Victim {
 public:
  explicit Victim(Channel& channel, std::mt19937& random) : channel_(channel), random_(random) {}

  /// One operation of any kind. False when the link has ended.
  bool operate() {
    const Deadline deadline = random_() % 16 == 0 ? Deadline{200us} : os::no_wait;
    switch (random_() % 10) {
      case 0:
      case 1:
        return judge(channel_.send(some_bytes(), deadline));
      case 2: {
        auto loan = channel_.loan(random_() % 1000, deadline);
        if (!loan) return judge(loan);
        std::fill(loan->bytes().begin(), loan->bytes().end(), std::byte{9});
        return random_() % 4 == 0 || judge(channel_.send(std::move(*loan)));
      }
      case 3: {
        const std::array<Bytes, 3> several{some_bytes(), some_bytes(), some_bytes()};
        return judge(channel_.send_many(several, deadline));
      }
      case 4: {
        const auto view = channel_.receive_view(deadline);
        if (view) look_at(view->bytes());
        return judge(view);
      }
      case 5:
        return random_() % 32 != 0 || call();
      default: {
        const auto got = channel_.receive(message_, deadline);
        if (got) look_at(message_.bytes());
        return judge(got);
      }
    }
  }

 private:
  Bytes some_bytes() { return Bytes{bytes_}.first(random_() % bytes_.size()); }

  template <class R> static bool judge(const R& result) {
    if (result || is_later(result.error())) return true;
    EXPECT_TRUE(is_end(result.error())) << result.error();
    return false;
  }
  /// What comes back is no call's answer: that ends the session, and the link when it is its turn.
  bool call() {
    const Remote<Oracle> remote{channel_};
    const auto answer = within(200us, remote).ask("who are you?");
    EXPECT_FALSE(answer);
    EXPECT_TRUE(answer || is_later(answer.error()) || is_end(answer.error())) << answer.error();
    return true;
  }

  Channel& channel_;
  std::mt19937& random_;
  Message message_;
  std::array<std::byte, 1500> bytes_{};
};

constexpr int most_operations_a_link = 2000;

void suffer(const std::string& kind, Mechanism mechanism, int told = 100'000) {
  const auto lies = static_cast<std::uint64_t>(soaked(told));
  const int operations = soaked(10'000);
  Bystander bystander{Mechanism::shm};
  bystander.expect_undisturbed();
  Attacker attacker{kind, mechanism};
  std::mt19937 random{7};
  const auto before = open_descriptors();
  int done = 0;
  for (int links = 0; attacker.lies() < lies || done < operations; ++links) {
    {
      const Trust trust = links % 4 == 0 ? Trust::equal : Trust::untrusted;
      Channel channel = attacker.attacked(trust);
      const test::Waiting waiting{"an operation on a link to a hostile peer"};
      static_cast<void>(channel.receive(1s));  // until it has begun
      Victim victim{channel, random};
      for (int i = 0; i < most_operations_a_link && victim.operate(); ++i) ++done;
    }
    ASSERT_FALSE(testing::Test::HasFailure());
    ASSERT_EQ(open_descriptors(), before);
    if (links % 64 == 0) bystander.expect_undisturbed();
  }
  bystander.expect_undisturbed();
  EXPECT_TRUE(test::is_alive(attacker.pid())) << "it was cut off, not harmed";
  testing::Test::RecordProperty("operations", done);
}

TEST(hostile_link, a_peer_that_lies_about_cursors_loses_its_link_alone) {
  suffer("cursors", Mechanism::shm);
}

TEST(hostile_link, a_peer_that_lies_about_lengths_loses_its_link_alone) {
  suffer("lengths", Mechanism::shm);
}

TEST(hostile_link, a_peer_that_lies_about_epochs_and_bells_disturbs_nobody) {
  suffer("epochs", Mechanism::shm);
}

TEST(hostile_link, a_peer_that_changes_records_after_the_check_gains_nothing) {
  suffer("race", Mechanism::shm);
}

TEST(hostile_link, a_peer_that_sends_any_packet_and_descriptor_beside_the_memory_loses_its_link) {
  suffer("control", Mechanism::shm, 5'000);
}

TEST(hostile_link, a_peer_that_sends_any_frame_and_descriptor_loses_its_link) {
  suffer("frames", Mechanism::unix_socket);
}

}  // namespace

// SPDX-License-Identifier: Apache-2.0
//
// The conformance suite: what every mechanism of Channel must do, as one body of tests that runs
// over a table (rows.hpp). Bodies run over the rows that can what they ask; what a row
// cannot is asserted to be refused, by name, in refusals_test.cpp: nothing is silently skipped. See
// the README of this folder.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <ostream>
#include <string>
#include <sys/file.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

#include "conformance/rows.hpp"
#include "support/census.hpp"
#include "support/children.hpp"
#include "support/watchdog.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BULKHEAD_TEST_SANITIZED 1
#else
#define BULKHEAD_TEST_SANITIZED 0
#endif

namespace bulkhead::conformance {

using namespace std::chrono_literals;

/// Work that sanitizers make slow is done in a smaller measure under them.
inline constexpr int sanitized(int plain, int slow) {
  return BULKHEAD_TEST_SANITIZED ? slow : plain;
}

/// Some bytes that depend on their seed and size at every place; a torn, lost, doubled or mixed up
/// message differs.
inline std::vector<std::byte> content(std::uint64_t seed, std::size_t size) {
  std::vector<std::byte> bytes(size);
  std::uint64_t word = seed * 0x9e3779b97f4a7c15U + size;
  for (std::size_t at = 0; at < size; at += sizeof word) {
    word = word * 6364136223846793005U + 1442695040888963407U;
    std::memcpy(bytes.data() + at, &word, std::min(sizeof word, size - at));
  }
  return bytes;
}

inline testing::AssertionResult has_content(Bytes bytes, std::uint64_t seed, std::size_t size) {
  if (bytes.size() != size) {
    return testing::AssertionFailure()
           << "message " << seed << " has " << bytes.size() << " bytes instead of " << size;
  }
  const auto expected = content(seed, size);
  if (size == 0 || std::memcmp(bytes.data(), expected.data(), size) == 0) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << "message " << seed << " of " << size << " bytes is damaged";
}

/// A small generator, so that a run can be repeated.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return state_ >> 33;
  }
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(next()) % bound; }

 private:
  std::uint64_t state_;
};

/// For results of any type, with the error's sentence when it is one.
template <class R> testing::AssertionResult ok(const R& result) {
  if (result) return testing::AssertionSuccess();
  return testing::AssertionFailure() << result.error().sentence();
}
template <class R> testing::AssertionResult fails(const R& result, ErrorKind kind) {
  if (result) return testing::AssertionFailure() << "it succeeded, not " << to_string(kind);
  if (result.error() == kind) return testing::AssertionSuccess();
  return testing::AssertionFailure() << to_string(result.error().kind()) << " instead of "
                                     << to_string(kind) << ": " << result.error().sentence();
}

class Conformance : public testing::TestWithParam<Row> {
  /// All processes of a user share one limit of POSIX queues (RLIMIT_MSGQUEUE), and a queue is made
  /// smaller when little of it is left: one test at a time, whoever runs it.
  struct QueueTurn {
    Fd file;

    explicit QueueTurn(Mechanism mechanism) {
      if (mechanism != Mechanism::posix_mq) return;
      file = Fd::adopt(::open("/proc/sys/fs/mqueue/msg_max", O_RDONLY | O_CLOEXEC));
      if (file) static_cast<void>(::flock(file.native(), LOCK_EX));
    }
  };
  QueueTurn queue_turn_{GetParam().mechanism};

 public:
  struct Ends {
    Channel here;
    Channel there;
  };
  /// A way that messages go: forth, and back where the row has that.
  struct Way {
    Channel& from;
    Channel& to;
  };

 protected:
  /// Of the first end.
  ChannelOptions options(std::size_t capacity_bytes = ChannelOptions{}.capacity_bytes) const {
    return {.trust = GetParam().trust,
            .capacity_bytes = capacity_bytes,
            .direction = GetParam().direction};
  }
  /// Of the second.
  ChannelOptions other_options() const { return turned(options()); }
  static ChannelOptions turned(ChannelOptions with) {
    if (with.direction == Direction::send) {
      with.direction = Direction::receive;
    } else if (with.direction == Direction::receive) {
      with.direction = Direction::send;
    }
    return with;
  }

  /// The first sends, where only one does.
  Ends make_pair() { return make_pair(options()); }
  Ends make_pair(const ChannelOptions& with) { return or_throw(try_make_pair(with)); }
  Result<Ends> try_make_pair(ChannelOptions with) {
    with.trust = GetParam().trust;
    with.direction = GetParam().direction;
    switch (GetParam().joining) {
      case Joining::pair: {
        auto ends = BULKHEAD_TRY(pair(GetParam().mechanism, with));
        return Ends{std::move(ends.first), std::move(ends.second)};
      }
      case Joining::listener: {
        const std::string at = address("pair");
        auto listener = BULKHEAD_TRY(listen(at, {.channel = turned(with)}));
        auto first = BULKHEAD_TRY(connect(at, 20s, with));
        auto second = BULKHEAD_TRY(listener.accept(20s));
        return Ends{std::move(first), std::move(second)};
      }
      case Joining::name:
        break;
    }
    const std::string at = address("pair");
    auto first = BULKHEAD_TRY(connect(at, 20s, with));
    auto second = BULKHEAD_TRY(connect(at, 20s, turned(with)));
    return Ends{std::move(first), std::move(second)};
  }
  Ends make_pair_of(std::size_t capacity_bytes) { return make_pair(options(capacity_bytes)); }

  std::vector<Way> ways(Ends& ends) const {
    std::vector<Way> found{{ends.here, ends.there}};
    if (GetParam().both_ways()) found.push_back({ends.there, ends.here});
    return found;
  }

  std::size_t way_count() const { return GetParam().both_ways() ? 2 : 1; }

  Result<Listener> listen_at(const std::string& at) const {
    return listen(at, {.channel = other_options()});
  }
  Result<Channel> connect_to(const std::string& at, Deadline deadline = 20s) const {
    return connect(at, deadline, options());
  }

  /// A place that no other test run uses. The same for the same name within a test, another for
  /// each "pair".
  std::string address(const std::string& name = "meeting") {
    const Row& row = GetParam();
    static int pairs = 0;
    std::string own = name + "-" + std::to_string(::getpid());
    if (name == "pair") own += "-" + std::to_string(++pairs);
    const std::string scheme{to_string(row.mechanism)};
    const unsigned number = static_cast<unsigned>(std::hash<std::string>{}(own) % 10'000);
    const auto pid = static_cast<unsigned>(::getpid());
    switch (row.naming) {
      case Naming::by_path:
        if (folder_.empty()) folder_ = test::temporary_folder().string();
        return scheme + "://" + folder_ + "/" + own + row.parameters;
      case Naming::abstract:
        return scheme + ":@bulkhead-test-" + own + row.parameters;
      case Naming::loopback:
        // All of 127/8 is this machine: one for each process, so that no other has the port.
        return scheme + "://127." + std::to_string(64 + (pid >> 16) % 128) + "." +
               std::to_string(pid >> 8 & 255) + "." + std::to_string(pid & 255) + ":" +
               std::to_string(20'000 + number) + row.parameters;
      case Naming::queue:
        return scheme + ":///bulkhead-test-" + own + row.parameters;
      case Naming::key:
        return scheme + "://" + std::to_string(0x40000000 + (pid % 65'536) * 10'000 + number) +
               row.parameters;
      case Naming::by_scheme:
      case Naming::none:
        break;
    }
    return scheme + ":" + own + row.parameters;
  }

  /// Names and files of this test go into `folder`.
  void use_folder(const std::string& folder) { folder_ = folder; }

  /// One message there and, where the row has that, one back.
  void expect_works(Channel& one, Channel& other) const {
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(ok(one.send(as_bytes("there"), 20s)));
      auto there = other.receive(20s);
      ASSERT_TRUE(ok(there));
      EXPECT_EQ(there->text(), "there");
      if (!GetParam().both_ways()) continue;
      ASSERT_TRUE(ok(other.send(as_bytes("back"), 20s)));
      auto back = one.receive(20s);
      ASSERT_TRUE(ok(back));
      EXPECT_EQ(back->text(), "back");
    }
  }

  /// A process at the other end: see tests/children/channel_peer.cpp. Our end is returned; of a
  /// row of one way it is the other than the peer needs for `what`.
  std::pair<Channel, test::Child> start_peer(const std::string& what) {
    const Row& row = GetParam();
    const bool peer_sends = !row.both_ways() && (what != "receive" && what != "stay");
    if (row.joining == Joining::pair && row.hands_over) {
      auto ends = make_pair();
      if (peer_sends) std::swap(ends.here, ends.there);
      Handle handle = or_throw(std::move(ends.there).into_handle());
      auto child = test::Child::start(
          "channel_peer", {what, std::to_string(static_cast<int>(row.mechanism))}, {handle.fd()});
      return {std::move(ends.here), std::move(child)};
    }
    const std::string at = address("pair");
    const auto peers = [&](Direction direction) {
      return test::Child::start("channel_peer",
                                {what, at, std::to_string(static_cast<int>(direction))});
    };
    ChannelOptions own = options();
    if (!row.both_ways()) own.direction = peer_sends ? Direction::receive : Direction::send;
    if (row.joining == Joining::name) {
      auto here = or_throw(connect(at, 20s, own));
      return {std::move(here), peers(turned(own).direction)};
    }
    if (own.direction == Direction::send) {
      // Who receives listens: of one way the many are those that send.
      auto child = test::Child::start(
          "channel_peer",
          {what, at, std::to_string(static_cast<int>(turned(own).direction)), "listen"});
      EXPECT_EQ(child.read_line(), "ready");
      return {or_throw(connect(at, 20s, own)), std::move(child)};
    }
    auto listener = or_throw(listen(at, {.channel = own}));
    auto child = peers(turned(own).direction);
    return {or_throw(listener.accept(20s)), std::move(child)};
  }

 private:
  std::string folder_;  // of its addresses
};

inline std::string row_name(const testing::TestParamInfo<Row>& info) { return info.param.name; }

}  // namespace bulkhead::conformance

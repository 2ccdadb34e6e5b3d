// SPDX-License-Identifier: Apache-2.0
//
// The conformance suite: what every mechanism of Channel must do, as one body of tests that runs
// over a table. A new mechanism joins by one line in `rows()`.
//
// Bodies that need a process at the other end ask the row first, and are skipped by name where
// there is none.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/listener.hpp>

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

/// How a test names a place to listen at.
enum class Naming : std::uint8_t { by_scheme, by_path, abstract };

struct Row {
  std::string name;
  Mechanism mechanism;
  Trust trust;
  Naming naming;
  /// Where messages stop to be carried in one piece, if anywhere; sizes around it are tried.
  std::size_t unit_bytes;
  bool between_processes;
  /// How many handles one message carries.
  std::size_t most_handles;
  Capabilities capabilities;
};

inline std::ostream& operator<<(std::ostream& out, const Row& row) { return out << row.name; }

inline std::vector<Row> rows() {
  const Capabilities plain{.handles = true, .many_clients = true};
  const Capabilities memory{.handles = true, .many_clients = true, .in_place = true};
  using enum Mechanism;
  using enum Naming;
  return {
      {"inproc", inproc, Trust::equal, by_scheme, 256 * 1024, false, 4096, plain},
      {"unix", unix_socket, Trust::equal, by_path, 60 * 1024, true, 4096, plain},
      {"unix_abstract", unix_socket, Trust::untrusted, abstract, 60 * 1024, true, 16, plain},
      {"shm_equal", shm, Trust::equal, by_scheme, 128 * 1024, true, 253, memory},
      {"shm_untrusted", shm, Trust::untrusted, by_scheme, 128 * 1024, true, 16, memory},
  };
}

inline std::vector<Row> rows_between_processes() {
  auto all = rows();
  std::erase_if(all, [](const Row& row) { return !row.between_processes; });
  return all;
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
 public:
  struct Ends {
    Channel here;
    Channel there;
  };

 protected:
  ChannelOptions options() const { return {.trust = GetParam().trust}; }

  Ends make_pair() { return make_pair(options()); }
  Ends make_pair(const ChannelOptions& with) {
    auto ends = or_throw(pair(GetParam().mechanism, with));
    return {std::move(ends.first), std::move(ends.second)};
  }

  /// A place to listen at that no other test run uses.
  std::string address(const std::string& name = "meeting") const {
    const Row& row = GetParam();
    const std::string own = name + "-" + std::to_string(::getpid());
    switch (row.naming) {
      case Naming::by_path:
        return "unix://" + test::temporary_folder().string() + "/" + own;
      case Naming::abstract:
        return "unix:@bulkhead-test-" + own;
      case Naming::by_scheme:
        break;
    }
    return std::string{to_string(row.mechanism)} + ":" + own;
  }

  /// One message there and one back.
  static void expect_works(Channel& one, Channel& other) {
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(ok(one.send(as_bytes("there"), 20s)));
      auto there = other.receive(20s);
      ASSERT_TRUE(ok(there));
      EXPECT_EQ(there->text(), "there");
      ASSERT_TRUE(ok(other.send(as_bytes("back"), 20s)));
      auto back = one.receive(20s);
      ASSERT_TRUE(ok(back));
      EXPECT_EQ(back->text(), "back");
    }
  }

  /// The program at the other end: see tests/children/channel_peer.cpp. Our end is returned.
  std::pair<Channel, test::Child> start_peer(const std::string& what) {
    auto ends = make_pair();
    Handle handle = or_throw(std::move(ends.there).into_handle());
    auto child = test::Child::start("channel_peer",
                                    {what, std::to_string(static_cast<int>(GetParam().mechanism))},
                                    {handle.fd()});
    return {std::move(ends.here), std::move(child)};
  }
};

inline std::string row_name(const testing::TestParamInfo<Row>& info) { return info.param.name; }

}  // namespace bulkhead::conformance

// SPDX-License-Identifier: Apache-2.0
//
// A sender that is killed at a random moment (F1): every message whose send had returned arrives,
// whole and in order; the one under way arrives whole or not at all; then the death is told.
#include <atomic>
#include <cstring>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <thread>

#include <bulkhead/channel.hpp>
#include <bulkhead/region.hpp>

#include "support/children.hpp"
#include "support/process_roles.hpp"
#include "support/soak.hpp"
#include "support/watchdog.hpp"

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;

bool is_whole(Bytes bytes, std::uint64_t number) {
  std::uint64_t found = 0;
  if (bytes.size() < sizeof found) return false;
  std::memcpy(&found, bytes.data(), sizeof found);
  const Bytes rest = bytes.subspan(sizeof found);
  for (std::size_t i = 0; i < rest.size(); ++i) {
    if (rest[i] != static_cast<std::byte>(number * 31 + i * 7 + rest.size())) return false;
  }
  return found == number;
}

class hostile_death : public testing::TestWithParam<Mechanism> {};
INSTANTIATE_TEST_SUITE_P(mechanisms, hostile_death,
                         testing::Values(Mechanism::unix_socket, Mechanism::shm),
                         [](const auto& chosen) { return std::string(to_string(chosen.param)); });

TEST_P(hostile_death, of_a_sender_loses_nothing_that_was_committed) {
  std::mt19937 random{4711};
  const int kills = test::soaked(test::is_sanitized() ? 20 : 100);
  std::uint64_t received_in_all = 0;
  for (int i = 0; i < kills; ++i) {
    auto counter = or_throw(Region::create(4096));
    const auto& committed =
        *reinterpret_cast<std::atomic<std::uint64_t>*>(counter.mutable_bytes().data());
    auto ends = or_throw(pair(GetParam()));
    Channel channel = std::move(ends.first);
    auto child = [&] {
      const Handle handle = or_throw(std::move(ends.second).into_handle());
      return test::Child::start("numbers_its_messages",
                                {std::to_string(static_cast<int>(GetParam())), std::to_string(i)},
                                {handle.fd(), counter.descriptor()});
    }();
    const test::Waiting waiting{"the death of a sender"};
    const std::uint64_t wanted = random() % 40;
    // Half of the time nobody reads before it is dead: all that it committed is still under way.
    const bool unread = i % 2 == 0 && wanted < 10;
    std::jthread killer{[&, pause = std::chrono::microseconds{random() % 300}] {
      // From a random message on, and then a random moment; or in a wait for somebody to read, which
      // is known by nothing happening after it has begun. Its start may take long.
      std::uint64_t seen = 0;
      Deadline blocked = unread ? Deadline{2s} : never;
      while (committed < wanted && !blocked.expired()) {
        if (unread && seen != committed) {
          seen = committed;
          blocked = 20ms;
        }
        std::this_thread::yield();
      }
      for (const Deadline until = pause; !until.expired();) std::this_thread::yield();
      child.kill();
      child.wait();
    }};
    if (unread) killer.join();
    Message message;
    std::uint64_t next = 0;
    Result<void> got;
    while ((got = channel.receive(message, never))) {
      ASSERT_TRUE(is_whole(message.bytes(), next)) << "message " << next;
      ++next;
    }
    ASSERT_EQ(got.error(), ErrorKind::peer_died) << got.error();
    if (killer.joinable()) killer.join();
    ASSERT_GE(next, committed) << "a committed message is lost";
    ASSERT_LE(next, committed + 1);
    received_in_all += next;
  }
  EXPECT_GT(received_in_all, 0U);
}

}  // namespace

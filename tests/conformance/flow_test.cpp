// SPDX-License-Identifier: Apache-2.0
//
// Two sides that are not equally fast, and signals in between.
#include <atomic>
#include <fstream>
#include <pthread.h>
#include <signal.h>

#include "conformance/conformance.hpp"

namespace bulkhead::conformance {
namespace {

class flow : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, flow, testing::ValuesIn(rows()), row_name);

std::size_t resident_bytes() {
  std::ifstream file{"/proc/self/statm"};
  std::size_t total = 0;
  std::size_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

TEST_P(flow, of_a_writer_faster_than_its_reader_is_held_back_and_memory_stays_flat) {
  auto [here, there] = make_pair({.trust = GetParam().trust, .capacity_bytes = 128 * 1024});
  const int count = sanitized(20'000, 2'000);
  const auto bytes = content(3, 4096);
  std::atomic<int> sent{0};
  std::atomic<int> received{0};
  std::atomic<int> furthest{0};
  std::jthread sender{[&, &to = here] {
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(ok(to.send(bytes, 50s)));
      furthest = std::max<int>(furthest, ++sent - received);
    }
  }};
  Message message;
  std::size_t before = 0;
  for (int i = 0; i < count; ++i) {
    ASSERT_TRUE(ok(there.receive(message, 50s)));
    ++received;
    if (i == count / 10) before = resident_bytes();
    if (i % 64 == 0) std::this_thread::yield();
  }
  EXPECT_TRUE(has_content(message.bytes(), 3, 4096));
  // A mechanism may hold twice its capacity and what is in the two threads' hands.
  EXPECT_LT(furthest, 2 * 128 / 4 + 8);
  if (!BULKHEAD_TEST_SANITIZED) {
    EXPECT_LT(resident_bytes(), before + (4u << 20));
  }
}

TEST_P(flow, of_requests_and_answers_goes_both_ways_at_once) {
  auto ends = make_pair({.trust = GetParam().trust, .capacity_bytes = 64 * 1024});
  const int count = sanitized(20'000, 2'000);
  std::jthread echo{[&] {
    Message message;
    while (ends.there.receive(message, never)) ASSERT_TRUE(ok(ends.there.send(message, 20s)));
  }};
  std::jthread sender{[&] {
    for (int i = 0; i < count; ++i) {
      const auto seed = static_cast<std::uint64_t>(i);
      ASSERT_TRUE(ok(ends.here.send(content(seed, seed % 300), 20s)));
    }
  }};
  Message message;
  for (int i = 0; i < count; ++i) {
    const auto seed = static_cast<std::uint64_t>(i);
    ASSERT_TRUE(ok(ends.here.receive(message, 20s)));
    ASSERT_TRUE(has_content(message.bytes(), seed, seed % 300));
  }
  sender.join();
  ends.here.close();
}

TEST_P(flow, goes_on_through_a_storm_of_signals) {
  // Without SA_RESTART: every system call that waits is interrupted.
  struct sigaction storm{};
  struct sigaction before{};
  storm.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGUSR1, &storm, &before), 0);
  auto ends = make_pair({.trust = GetParam().trust, .capacity_bytes = 32 * 1024});
  const int count = sanitized(2'000, 300);
  std::atomic<bool> over{false};
  std::atomic<bool> echo_lives{true};
  const pthread_t asker = ::pthread_self();
  std::jthread echo{[&] {
    Message message;
    while (ends.there.receive(message, never)) EXPECT_TRUE(ok(ends.there.send(message, never)));
    while (!over) std::this_thread::yield();  // may be sent signals until the storm is over
  }};
  std::jthread thunder{[&, handle = echo.native_handle()] {
    timespec pause{0, 50'000};
    while (!over) {
      ::pthread_kill(asker, SIGUSR1);
      ::pthread_kill(handle, SIGUSR1);
      ::nanosleep(&pause, nullptr);  // Not synchronisation: the rate of the storm
    }
  }};
  Message message;
  for (int i = 0; i < count && !HasFailure(); ++i) {
    const auto seed = static_cast<std::uint64_t>(i);
    const std::size_t size = i % 50 == 0 ? 100'000 : 100;
    EXPECT_TRUE(ok(ends.here.send(content(seed, size), 20s)));
    EXPECT_TRUE(ok(ends.here.receive(message, 20s)));
    EXPECT_TRUE(has_content(message.bytes(), seed, size));
    if (i % 100 == 0) {
      const auto start = Deadline::Clock::now();
      EXPECT_TRUE(fails(ends.here.receive(5ms), ErrorKind::timed_out));
      EXPECT_GE(Deadline::Clock::now() - start, 5ms);
    }
  }
  ends.here.close();
  over = true;
  thunder.join();
  echo.join();
  ::sigaction(SIGUSR1, &before, nullptr);
}

}  // namespace
}  // namespace bulkhead::conformance

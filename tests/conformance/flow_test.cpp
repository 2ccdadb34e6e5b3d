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

class flow_held_back : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, flow_held_back,
                         testing::ValuesIn(rows_where(reliable, that_hold_back)), row_name);

class flow_both_ways : public Conformance {};
INSTANTIATE_TEST_SUITE_P(mechanisms, flow_both_ways,
                         testing::ValuesIn(rows_where(reliable, both_ways)), row_name);

std::size_t resident_bytes() {
  std::ifstream file{"/proc/self/statm"};
  std::size_t total = 0;
  std::size_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

TEST_P(flow_held_back, of_a_writer_faster_than_its_reader_is_held_back_and_memory_stays_flat) {
  auto [here, there] = make_pair_of(128 * 1024);
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

TEST_P(flow_held_back, of_a_writer_that_waits_goes_on_when_its_reader_makes_room) {
  auto [here, there] = make_pair_of(64 * 1024);
  std::uint64_t waiting = 0;
  while (here.try_send(content(waiting, 1000))) ++waiting;
  std::atomic<bool> gone{false};
  std::jthread writer{[&, &to = here] {
    EXPECT_TRUE(ok(to.send(content(waiting, 1000), never)));
    gone = true;
  }};
  // No more is received than it takes: an acknowledgement of a network comes when it comes, and who
  // waits for the next message after the last would hide a wake-up that was lost.
  std::uint64_t received = 0;
  for (; received < waiting; ++received) {
    auto got = there.receive(never);
    ASSERT_TRUE(ok(got));
    EXPECT_TRUE(has_content(got->bytes(), received, 1000));
  }
  writer.join();
  EXPECT_TRUE(gone);
  auto got = there.receive(never);
  ASSERT_TRUE(ok(got));
  EXPECT_TRUE(has_content(got->bytes(), waiting, 1000));
}

TEST_P(flow_both_ways, of_requests_and_answers_goes_both_ways_at_once) {
  auto ends = make_pair_of(64 * 1024);
  const int count = sanitized(20'000, 2'000);
  std::jthread echo{[&] {
    Message message;
    while (ends.there.receive(message, 20s)) ASSERT_TRUE(ok(ends.there.send(message, 20s)));
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

TEST_P(flow, of_a_writer_that_nobody_reads_keeps_memory_flat) {
  auto [here, there] = make_pair_of(64 * 1024);
  const auto bytes = content(3, 4096);
  const int count = sanitized(4'000, 1'000);
  std::size_t before = 0;
  int sent = 0;
  for (int i = 0; i < count; ++i) {
    if (i == 100) before = resident_bytes();
    auto result = here.try_send(bytes);
    if (result) {
      ++sent;
      continue;
    }
    EXPECT_TRUE(fails(result, ErrorKind::full));
    EXPECT_TRUE(GetParam().holds_back) << "only those say that they are full";
  }
  EXPECT_GT(sent, 0);
  EXPECT_EQ(sent < count, GetParam().holds_back);
  if (!BULKHEAD_TEST_SANITIZED) {
    EXPECT_LT(resident_bytes(), before + (2u << 20));
  }
  Message message;
  for (int i = 0; i < sent && there.receive(message, GetParam().lossy() ? 0ms : 20'000ms); ++i) {
    EXPECT_TRUE(has_content(message.bytes(), 3, 4096));
  }
}

/// Interrupts threads of this process 10,000 times a second: without SA_RESTART every system call
/// that waits ends early.
class Storm {
 public:
  Storm() {
    struct sigaction storm{};
    storm.sa_handler = [](int) {};
    EXPECT_EQ(::sigaction(SIGUSR1, &storm, &before_), 0);
  }
  void begin(std::vector<pthread_t> threads) {
    thunder_ = std::jthread{[this, threads = std::move(threads)] {
      const timespec pause{0, 50'000};
      while (!over_) {
        for (const pthread_t thread : threads) ::pthread_kill(thread, SIGUSR1);
        ::nanosleep(&pause, nullptr);  // Not synchronisation: the rate of the storm
      }
    }};
  }
  void end() {
    over_ = true;
    if (thunder_.joinable()) thunder_.join();
  }
  bool is_over() const { return over_; }
  ~Storm() {
    end();
    ::sigaction(SIGUSR1, &before_, nullptr);
  }

 private:
  struct sigaction before_{};
  std::atomic<bool> over_{false};
  std::jthread thunder_;
};

TEST_P(flow_both_ways, goes_on_through_a_storm_of_signals) {
  auto ends = make_pair_of(32 * 1024);
  const int count = sanitized(1'500, 300);
  Storm storm;
  std::jthread echo{[&] {
    Message message;
    while (ends.there.receive(message, 20s)) EXPECT_TRUE(ok(ends.there.send(message, 20s)));
    while (!storm.is_over()) std::this_thread::yield();  // may be sent signals until then
  }};
  storm.begin({::pthread_self(), echo.native_handle()});
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
  ends.there.close();
  storm.end();
}

TEST_P(flow, one_way_goes_on_through_a_storm_of_signals) {
  auto ends = make_pair_of(32 * 1024);
  const int count = sanitized(1'500, 300);
  Storm storm;
  std::atomic<int> received{0};
  std::jthread reader{[&] {
    Message message;
    for (int i = 0; i < count && !HasFailure(); ++i) {
      EXPECT_TRUE(ok(ends.there.receive(message, 20s)));
      EXPECT_TRUE(has_content(message.bytes(), static_cast<std::uint64_t>(i), 1000));
      ++received;
    }
    const auto start = Deadline::Clock::now();
    EXPECT_TRUE(fails(ends.there.receive(5ms), ErrorKind::timed_out));
    EXPECT_GE(Deadline::Clock::now() - start, 5ms);
    while (!storm.is_over()) std::this_thread::yield();
  }};
  storm.begin({::pthread_self(), reader.native_handle()});
  for (int i = 0; i < count && !HasFailure(); ++i) {
    EXPECT_TRUE(ok(ends.here.send(content(static_cast<std::uint64_t>(i), 1000), 20s)));
    // What is far ahead of its reader may be lost by a mechanism that loses: the kernel counts 2.3 KB
    // for each of these, and gives the room of those that were read back late.
    while (GetParam().lossy() && i - received > 8 && !HasFailure()) std::this_thread::yield();
  }
  while (received < count && !HasFailure()) std::this_thread::yield();
  storm.end();
}

}  // namespace
}  // namespace bulkhead::conformance

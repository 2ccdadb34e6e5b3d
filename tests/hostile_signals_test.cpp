// SPDX-License-Identifier: Apache-2.0
//
// A storm of signals on every thread (F13), some thousands a second, with handlers that do not
// restart calls: nothing fails for it, nothing ends early. (Plain messages in such a storm are in
// the conformance suite.)
#include <atomic>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

#include <bulkhead/bulkhead.hpp>

#include "support/process_roles.hpp"
#include "support/soak.hpp"
#include "support/watchdog.hpp"

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;
using test::Waiting;

struct Parrot {
  std::string repeat(std::string text);
};
BULKHEAD_INTERFACE(Parrot, repeat)
struct RealParrot {
  std::string repeat(std::string text) { return text; }
};

/// Every thread of this process is interrupted all the time, as long as this lives.
class Storm {
 public:
  Storm() {
    struct sigaction action{};
    action.sa_handler = [](int) { ++strikes; };
    ::sigaction(SIGUSR1, &action, &before_);
    thread_ = std::thread{[this] { thunder(); }};
  }
  ~Storm() {
    over_ = true;
    thread_.join();
    ::sigaction(SIGUSR1, &before_, nullptr);
  }
  static inline std::atomic<std::uint64_t> strikes = 0;

 private:
  void thunder() {
    const auto self = std::to_string(::syscall(SYS_gettid));
    const timespec pause{0, 100'000};
    while (!over_) {
      std::error_code error;
      std::filesystem::directory_iterator threads{"/proc/self/task", error};
      for (; !error && threads != std::filesystem::directory_iterator{}; threads.increment(error)) {
        const std::string tid = threads->path().filename();
        if (tid != self) ::syscall(SYS_tgkill, ::getpid(), std::atol(tid.c_str()), SIGUSR1);
      }
      ::nanosleep(&pause, nullptr);  // Not synchronisation: the rate of the storm
    }
  }

  struct sigaction before_{};
  std::atomic<bool> over_{false};
  std::thread thread_;
};

void serve_in_a_storm(Bootstrap& boot) {
  const Storm storm;
  or_exit(boot.serve<Parrot>(RealParrot{}));
}

int twice(int number) { return 2 * number; }

TEST(hostile_signals, do_not_disturb_processes_and_calls) {
  const Storm storm;
  const Waiting waiting{"processes and calls in a storm of signals"};
  for (int i = 0; i < test::soaked(8); ++i) {
    auto child = spawn<serve_in_a_storm>(
        {.mechanism = i % 2 == 0 ? Mechanism::shm : Mechanism::unix_socket});
    ASSERT_TRUE(child) << child.error();
    const Remote<Parrot> remote{child->channel(), {.deadline = 20s}};
    for (int call = 0; call < 100; ++call) {
      const std::string text(call % 10 == 0 ? 300'000 : 50, static_cast<char>('a' + call % 26));
      const auto answer = remote.repeat(text);
      ASSERT_TRUE(answer) << answer.error();
      ASSERT_EQ(*answer, text);
    }
    const auto start = Deadline::Clock::now();
    const auto early = child->wait(20ms);
    ASSERT_FALSE(early);
    EXPECT_EQ(early.error(), ErrorKind::timed_out);
    EXPECT_GE(Deadline::Clock::now() - start, 20ms);
    child->channel().close();
    const auto exit = child->wait(20s);
    ASSERT_TRUE(exit) << exit.error();
    EXPECT_TRUE(exit->success()) << *exit;
    const auto number = isolate<twice>(i);
    ASSERT_TRUE(number) << number.error();
    EXPECT_EQ(*number, 2 * i);
  }
  EXPECT_GT(Storm::strikes, 100U);
}

TEST(hostile_signals, do_not_disturb_meetings) {
  const Storm storm;
  const Waiting waiting{"meetings in a storm of signals"};
  for (const std::string scheme : {"shm:", "unix:@bulkhead-test-"}) {
    const std::string at = scheme + "storm-" + std::to_string(::getpid());
    auto listener = listen(at);
    ASSERT_TRUE(listener) << listener.error();
    for (int i = 0; i < 50; ++i) {
      std::thread client{[&] {
        auto channel = connect(at, 20s);
        ASSERT_TRUE(channel) << channel.error();
        const auto sent = channel->send(as_bytes("hello"), 20s);
        EXPECT_TRUE(sent) << sent.error();
        const auto end = channel->receive(20s);
        EXPECT_EQ(end.error(), ErrorKind::closed) << end.error();
      }};
      {
        auto channel = listener->accept(20s);
        EXPECT_TRUE(channel) << channel.error();
        EXPECT_TRUE(channel && channel->receive(20s));
      }
      client.join();
    }
    const auto start = Deadline::Clock::now();
    EXPECT_EQ(listener->accept(20ms).error(), ErrorKind::timed_out);
    EXPECT_GE(Deadline::Clock::now() - start, 20ms);
  }
}

}  // namespace

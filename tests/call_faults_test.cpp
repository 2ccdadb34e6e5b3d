// SPDX-License-Identifier: Apache-2.0
//
// Typed calls to a process that is killed, stopped, wrong or busy at a random moment: an error that
// says so, never a hang, nothing left behind. (What happens to plain messages is in
// tests/conformance/processes_test.cpp.)
#include <atomic>
#include <csignal>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <bulkhead/bulkhead.hpp>

#include "support/soak.hpp"

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;

struct Worker {
  std::string echo(std::string text);
  Result<Stream<std::string>> pour(int count);
  std::string call_back(std::string text);
  std::string think();
  void hint(std::string text);
};
BULKHEAD_INTERFACE(Worker, echo, pour, call_back, think, hint)

struct Master {
  std::string confirm(std::string text);
};
BULKHEAD_INTERFACE(Master, confirm)

struct RealWorker {
  Remote<Master> master;

  std::string echo(std::string text) { return text; }
  Result<Stream<std::string>> pour(int count) {
    return Stream<std::string>::from([count]() mutable -> Result<std::optional<std::string>> {
      if (count-- == 0) return std::optional<std::string>{};
      return std::optional{std::string(2000, 'p')};
    });
  }
  std::string call_back(const std::string& text) { return or_throw(master.confirm(text)); }
  std::string think() {
    for (;;) std::this_thread::yield();
  }
  void hint(const std::string&) {}
};

void worker(Bootstrap& boot) {
  boot.serve<Worker>(RealWorker{Remote<Master>{boot.channel(), {.deadline = 20s}}});
}

/// Starting a process costs ten times as much with a sanitizer in it.
int kills() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return test::soaked(30);
#else
  return test::soaked(300);
#endif
}

class call_faults_threaded : public testing::TestWithParam<Mechanism> {};
INSTANTIATE_TEST_SUITE_P(mechanisms, call_faults_threaded,
                         testing::Values(Mechanism::unix_socket, Mechanism::shm),
                         [](const auto& chosen) { return std::string(to_string(chosen.param)); });

Process start(Mechanism mechanism, Trust trust = Trust::equal) {
  return or_throw(spawn<worker>({.mechanism = mechanism, .trust = trust}));
}

/// One call of each kind in turn, until one fails.
Error call_until_it_fails(Channel& channel) {
  const Remote<Worker> remote{channel, {.deadline = 30s}};
  const std::string large(300'000, 'l');
  for (;;) {
    if (auto done = remote.echo("small"); !done) return done.error();
    if (auto done = remote.echo(large); !done) return done.error();
    if (auto done = remote.hint("one way"); !done) return done.error();
    if (auto done = remote.call_back("both ways"); !done) return done.error();
    auto stream = remote.pour(50);
    if (!stream) return stream.error();
    for (;;) {
      auto value = stream->next(30s);
      if (!value) return value.error();
      if (!*value) break;
    }
  }
}

struct RealMaster {
  std::string confirm(std::string text) { return text; }
};

TEST_P(call_faults_threaded, a_worker_killed_at_any_moment_fails_the_call_with_its_death) {
  std::mt19937 random{4711};
  std::uniform_int_distribution<int> moment{0, 3000};
  const int rounds = kills();
  for (int round = 0; round < rounds; ++round) {
    Process child = start(GetParam(), round % 2 == 0 ? Trust::equal : Trust::untrusted);
    RealMaster master;
    std::thread server([&] { static_cast<void>(serve<Master>(child.channel(), master)); });
    std::thread killer([&, wait = std::chrono::microseconds(moment(random))] {
      // The moment itself is what is random here; nothing waits for it to pass.
      for (const Deadline until = wait; !until.expired();) std::this_thread::yield();
      ASSERT_EQ(::kill(child.pid(), SIGKILL), 0);
    });
    const Error error = call_until_it_fails(child.channel());
    killer.join();
    server.join();
    ASSERT_EQ(error, ErrorKind::peer_died) << error;
    ASSERT_NE(error.exit(), nullptr) << error;
    ASSERT_EQ(*error.exit(), Exit::killed(SIGKILL)) << error;
    ASSERT_EQ(error.who(), child.who());
  }
}

TEST_P(call_faults_threaded, one_death_fails_every_call_under_way) {
  Process child = start(GetParam());
  const Remote<Worker> remote{child.channel(), {.deadline = 50s}};
  std::vector<std::thread> callers;
  std::atomic<int> right{0};
  std::atomic<int> started{0};
  for (int i = 0; i < 6; ++i) {
    callers.emplace_back([&] {
      ++started;
      const auto outcome = remote.think();
      right += !outcome && outcome.error() == ErrorKind::peer_died && outcome.error().exit() &&
               outcome.error().exit()->signal == SIGKILL;
    });
  }
  while (started < 6) std::this_thread::yield();
  ASSERT_TRUE(child.kill());
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(right, 6);
}

TEST_P(call_faults_threaded, a_stopped_worker_costs_the_deadline_and_goes_on_afterwards) {
  Process child = start(GetParam());
  const Remote<Worker> remote{child.channel(), {.deadline = 20s}};
  ASSERT_TRUE(remote.echo("hello"));
  ASSERT_EQ(::kill(child.pid(), SIGSTOP), 0);
  const auto late = within(50ms, remote).echo("anyone?");
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error(), ErrorKind::timed_out);
  EXPECT_NE(late.error().sentence().find(child.who()), std::string::npos) << late.error();
  ASSERT_EQ(::kill(child.pid(), SIGCONT), 0);
  EXPECT_EQ(*remote.echo("again"), "again");  // the late answer is nobody's
}

TEST_P(call_faults_threaded, many_late_answers_are_ignored_and_memory_stays_flat) {
  Process child = start(GetParam());
  const Remote<Worker> remote{child.channel(), {.deadline = 20s}};
  for (int i = 0; i < 200; ++i) static_cast<void>(within(0ms, remote).echo(std::string(1000, 'x')));
  EXPECT_EQ(*remote.echo("still right"), "still right");
}

/// Sends frames that no session would: random kinds, calls, methods, payloads.
void forger(Bootstrap& boot) {
  const auto [seed] = or_exit(boot.arguments<std::uint32_t>());
  std::mt19937 random{seed};
  std::uniform_int_distribution<int> byte{0, 255};
  const auto rounds = 500;
  for (int round = 0; round < rounds; ++round) {
    std::string frame(static_cast<std::size_t>(byte(random)) % 80, '\0');
    for (char& c : frame) c = static_cast<char>(byte(random));
    if (frame.size() >= 32 && round % 2 == 0) {
      // A frame that looks right as far as its kind, its version and the number of the call.
      frame[0] = static_cast<char>(1 + byte(random) % 7);
      frame[1] = static_cast<char>(byte(random) % 2);
      frame[2] = 1, frame[3] = 0;
      for (int i = 8; i < 16; ++i) frame[static_cast<std::size_t>(i)] = 0;
      frame[8] = static_cast<char>(byte(random) % 3);
    }
    if (!boot.channel().send(as_bytes(frame), 20s)) return;
  }
  static_cast<void>(boot.channel().receive(20s));
}

TEST(call_faults, a_peer_that_forges_frames_loses_its_link_and_nothing_else) {
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    Process child =
        or_throw(spawn<forger>({.arguments = arguments(seed), .trust = Trust::untrusted}));
    const Remote<Worker> remote{child.channel(), {.deadline = 2s}};
    for (int i = 0; i < 3; ++i) {
      // Whatever it is told, it is a value, and nothing was believed that does not decode.
      const auto outcome = remote.echo("hello");
      EXPECT_LE(outcome.value_or("").size(), 80U);
    }
  }
}

/// Answers another interface.
struct Stranger {
  int other(int x);
};
BULKHEAD_INTERFACE(Stranger, other)
struct RealStranger {
  int other(int x) { return x; }
};
void stranger(Bootstrap& boot) { boot.serve<Stranger>(RealStranger{}); }

TEST(call_faults, a_worker_of_another_interface_says_which_it_serves) {
  Process child = or_throw(spawn<stranger>());
  const Remote<Worker> remote{child.channel(), {.deadline = 20s}};
  const auto outcome = remote.echo("hello");
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error(), ErrorKind::incompatible);
  EXPECT_NE(outcome.error().sentence().find("Stranger"), std::string::npos) << outcome.error();
  EXPECT_EQ(*Remote<Stranger>{child.channel()}.other(3), 3);
}

}  // namespace

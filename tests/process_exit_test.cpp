// SPDX-License-Identifier: Apache-2.0
//
// How processes end, and what is told of it.
#include <csignal>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdexcept>
#include <sys/resource.h>
#include <sys/wait.h>
#include <vector>

#include <bulkhead/process.hpp>

#include "support/process_roles.hpp"

namespace {

using namespace bulkhead;
using namespace bulkhead::test;
using namespace std::chrono_literals;
using testing::StartsWith;

int overflow(int depth) {
  volatile char room[4096];
  room[0] = static_cast<char>(depth);
  return depth == -1 ? 0 : overflow(depth + 1) + room[0];
}
void overflow_the_stack(Bootstrap&) { std::exit(overflow(0)); }

void call_abort(Bootstrap&) { std::abort(); }
void divide_by_zero(Bootstrap&) { ::raise(SIGFPE); }
void throw_up(Bootstrap&) { throw std::runtime_error{"bad input"}; }
void use_up_memory(Bootstrap&) {
  rlimit limit{256u << 20, 256u << 20};
  ::setrlimit(RLIMIT_AS, &limit);
  std::vector<std::vector<char>> all;
  for (;;) all.emplace_back(16u << 20);
}
void use_up_time(Bootstrap&) {
  rlimit limit{1, 2};
  ::setrlimit(RLIMIT_CPU, &limit);
  static volatile unsigned spins = 0;
  for (;;) static_cast<void>(spins);
}

void kill_itself(Bootstrap&) { ::raise(SIGKILL); }

TEST(process_exit, says_the_exit_code) {
  EXPECT_EQ(exit_of<leave_with_three>(), Exit::exited(3));
  EXPECT_EQ(exit_of<return_at_once>(), Exit::exited(0));
}

TEST(process_exit, says_the_signal_and_the_fault_address) {
  EXPECT_EQ(exit_of<write_nowhere>(), Exit::killed(SIGSEGV, 0x10));
  EXPECT_EQ(to_string(exit_of<write_nowhere>()), "SIGSEGV at 0x10");
}

TEST(process_exit, says_the_fault_address_of_a_sandboxed_child_too) {
  EXPECT_EQ(exit_of<write_nowhere>({.sandbox = sandbox::compute_only}),
            Exit::killed(SIGSEGV, 0x10));
}

TEST(process_exit, tells_a_stack_overflow_with_its_address) {
  const Exit exit = exit_of<overflow_the_stack>();
  EXPECT_EQ(exit.signal, SIGSEGV) << exit;
  EXPECT_TRUE(exit.fault_address) << exit;
}

TEST(process_exit, tells_a_signal_that_was_sent_without_an_address) {
  EXPECT_EQ(exit_of<divide_by_zero>(), Exit::killed(SIGFPE));
  EXPECT_EQ(exit_of<kill_itself>(), Exit::killed(SIGKILL));
  EXPECT_EQ(exit_of<call_abort>(), Exit::killed(SIGABRT));
}

TEST(process_exit, tells_which_exception_nobody_caught) {
  const Exit exit = exit_of<throw_up>();
  EXPECT_EQ(exit.signal, SIGABRT) << exit;
  EXPECT_EQ(to_string(exit), "SIGABRT (std::runtime_error: bad input)");
}

TEST(process_exit, tells_when_memory_ran_out) {
  if (is_sanitized()) GTEST_SKIP() << "a sanitizer needs more address space than any limit";
  EXPECT_EQ(exit_of<use_up_memory>().cause, Exit::Cause::out_of_memory);
}

TEST(process_exit, tells_when_the_processor_time_ran_out) {
  const Exit exit = exit_of<use_up_time>();
  EXPECT_EQ(exit.cause, Exit::Cause::resource_limit) << exit;
  EXPECT_EQ(exit.detail, "CPU time");
}

TEST(process_exit, names_the_system_call_that_the_sandbox_forbids) {
  const Exit exit = exit_of<[](Bootstrap&) { ::close(::open("/etc/passwd", O_RDONLY)); }>(
      {.sandbox = sandbox::compute_only});
  EXPECT_EQ(exit.cause, Exit::Cause::sandbox_violation) << exit;
  EXPECT_THAT(exit.detail, StartsWith("open"));
}

TEST(process_exit, a_kill_with_words_is_a_hang) {
  auto child = or_throw(spawn<ignore_everything>());
  const Exit exit = or_throw(child.kill("no answer within 2 s"));
  EXPECT_EQ(exit, Exit::of(Exit::Cause::hang, "no answer within 2 s"));
}

TEST(process_exit, a_dead_child_fails_what_waits_for_it_with_how_it_died) {
  auto child = or_throw(spawn<write_nowhere>());
  auto answer = child.channel().receive(30s);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::peer_died);
  EXPECT_EQ(answer.error().sentence(),
            "receive: write_nowhere (" + std::to_string(child.pid()) + ") died: SIGSEGV at 0x10");
}

TEST(process_exit, what_a_dead_child_sent_is_received_first) {
  auto child = or_throw(spawn<say_hello>());
  ASSERT_TRUE(child.wait(30s));
  EXPECT_EQ(message_of(child.channel()), "hello from say_hello");
}

TEST(process_exit, wait_ends_at_its_deadline) {
  auto child = or_throw(spawn<wait_for_close>());
  EXPECT_EQ(child.wait(1ms).error().kind(), ErrorKind::timed_out);
  EXPECT_EQ(child.try_exit().error().kind(), ErrorKind::empty);
  EXPECT_TRUE(child.running());
}

TEST(process_exit, terminate_lets_a_role_that_listens_leave_by_itself) {
  auto child = or_throw(spawn<wait_for_close>());
  EXPECT_EQ(or_throw(child.terminate(20s)), Exit::exited(0));
}

TEST(process_exit, terminate_ends_one_that_does_not) {
  auto child = or_throw(spawn<[](Bootstrap&) {
    for (;;) ::pause();
  }>());
  EXPECT_EQ(or_throw(child.terminate(10ms)), Exit::killed(SIGTERM));
}

TEST(process_exit, terminate_ends_one_that_ignores_the_request) {
  auto child = or_throw(spawn<ignore_everything>());
  EXPECT_EQ(message_of(child.channel()), "here");
  EXPECT_EQ(or_throw(child.terminate(10ms)), Exit::killed(SIGKILL));
}

TEST(process_exit, terminate_ends_one_that_is_stopped) {
  auto child = or_throw(spawn<wait_for_close>());
  ::kill(child.pid(), SIGSTOP);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WSTOPPED), 0);
  EXPECT_EQ(or_throw(child.terminate(10ms)), Exit::killed(SIGKILL));
}

TEST(process_exit, a_process_ends_its_child_when_it_goes) {
  pid_t pid = 0;
  {
    auto child = or_throw(spawn<ignore_everything>({.grace = 5ms}));
    pid = child.pid();
    EXPECT_EQ(message_of(child.channel()), "here");
  }
  EXPECT_EQ(::kill(pid, 0), -1);  // not even a zombie
}

TEST(process_exit, a_process_that_is_assigned_to_ends_its_former_child) {
  auto child = or_throw(spawn<wait_for_close>());
  const pid_t former = child.pid();
  child = or_throw(spawn<wait_for_close>());
  EXPECT_EQ(::kill(former, 0), -1);
  EXPECT_TRUE(child.running());
}

TEST(process_exit, the_pidfd_polls_readable_at_the_end) {
  auto child = or_throw(spawn<wait_for_close>());
  pollfd entry{.fd = child.pidfd().native(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&entry, 1, 0), 0);
  child.channel().close();
  const Waiting waiting{"the pidfd"};
  EXPECT_EQ(::poll(&entry, 1, 30'000), 1);
}

}  // namespace

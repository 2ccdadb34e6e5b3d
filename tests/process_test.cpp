// SPDX-License-Identifier: Apache-2.0
//
// Processes, as a program that uses them sees them: how they start and end, what they leave behind
// (nothing), and what the host and its other threads and children notice (nothing).
#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <iterator>
#include <poll.h>
#include <random>
#include <sstream>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <bulkhead/detail/process.hpp>
#include <bulkhead/process.hpp>

#include "support/census.hpp"
#include "support/children.hpp"
#include "support/watchdog.hpp"

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;
using bulkhead::test::Child;
using bulkhead::test::temporary_folder;
using bulkhead::test::Waiting;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// Roles.

void say_hello(Bootstrap& boot) {
  or_exit(boot.channel().send(as_bytes("hello from " + boot.name()), 10s));
}

/// Lives until its parent closes the channel.
void wait_for_close(Bootstrap& boot) { static_cast<void>(boot.channel().receive(never)); }

void tell_and_wait(Bootstrap& boot) {
  static_cast<void>(boot.channel().send(as_bytes("here"), 10s));  // it may be ended by then
  wait_for_close(boot);
}

void ignore_everything(Bootstrap& boot) {
  ::signal(SIGTERM, SIG_IGN);
  or_exit(boot.channel().send(as_bytes("here"), 10s));
  for (;;) ::pause();
}

void leave_with_three(Bootstrap&) { std::exit(3); }
void return_at_once(Bootstrap&) {}

volatile int* volatile nowhere = reinterpret_cast<int*>(0x10);
void write_nowhere(Bootstrap&) { *nowhere = 1; }

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

void fork_and_tell(Bootstrap& boot) {
  const pid_t grandchild = ::fork();
  if (grandchild == 0) {
    for (;;) ::pause();
  }
  or_exit(boot.channel().send(as_bytes(std::to_string(grandchild)), 10s));
  wait_for_close(boot);
}

std::string listing(const char* folder) {
  std::string text;
  for (const auto& entry : std::filesystem::directory_iterator{folder}) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink(entry.path(), gone);
    if (!gone) text += entry.path().filename().string() + " " + target.string() + "\n";
  }
  return text;
}

void tell_about_itself(Bootstrap& boot) {
  std::ifstream command{"/proc/self/cmdline"};
  std::string arguments{std::istreambuf_iterator<char>{command}, {}};
  std::ranges::replace(arguments, '\0', ' ');
  sigset_t blocked;
  ::sigprocmask(SIG_SETMASK, nullptr, &blocked);
  struct sigaction pipe{};
  ::sigaction(SIGPIPE, nullptr, &pipe);
  std::string text = "cwd " + std::filesystem::current_path().string() + "\n";
  text += "command " + arguments + "\n";
  text += "own group " + std::to_string(::getpgrp() == ::getpid()) + "\n";
  text += "usr1 blocked " + std::to_string(sigismember(&blocked, SIGUSR1)) + "\n";
  text += "pipe ignored " + std::to_string(pipe.sa_handler == SIG_IGN) + "\n";
  for (char** entry = ::environ; *entry != nullptr; ++entry) text += std::string(*entry) + "\n";
  text += listing("/proc/self/fd");
  or_exit(boot.channel().send(as_bytes(text), 10s));
}

struct Config {
  std::string title{};
  std::vector<int> numbers{};
};
void answer_with_arguments(Bootstrap& boot) {
  auto [count, text, config] = or_exit(boot.arguments<int, std::string, Config>());
  std::ostringstream told;
  told << count << ' ' << text << ' ' << config.title << ' ' << config.numbers.size() << ' ';
  told << to_string(boot.arguments<int>().error().kind());
  or_exit(boot.channel().send(as_bytes(told.str()), 10s));
}
void read_wrong_arguments(Bootstrap& boot) {
  auto read = boot.arguments<std::string>();
  or_exit(boot.channel().send(as_bytes(read.error().sentence()), 10s));
}

void use_what_it_was_given(Bootstrap& boot) {
  auto log = or_exit(boot.channel("log"));
  auto frame = or_exit(boot.region("frame"));
  auto file = or_exit(boot.descriptor("file"));
  or_exit(log.send(as_bytes("logged"), 10s));
  char byte = 0;
  const auto got = ::pread(file.native(), &byte, 1, 0);
  std::string text{as_text(frame.bytes().first(5))};
  text += got == 1 ? std::string{byte} : "nothing";
  text += boot.channel("log").error().kind() == ErrorKind::not_found ? " once" : " twice";
  or_exit(boot.channel().send(as_bytes(text), 10s));
  wait_for_close(boot);
}

void print_and_leave(Bootstrap&) {
  ::dprintf(1, "first line\nsecond ");
  ::dprintf(2, "line\nno end");
}

void print_much(Bootstrap&) {
  for (int i = 0; i < 20'000; ++i) ::dprintf(1, "line %d of many\n", i);
}

void start_a_child_of_its_own(Bootstrap& boot) {
  Process inner = or_exit(spawn<tell_and_wait>());
  or_exit(inner.channel().receive(10s));
  or_exit(boot.channel().send(as_bytes(std::to_string(inner.pid())), 10s));
  wait_for_close(boot);
}

// What the tests use.

std::string message_of(Channel& channel) {
  const Waiting waiting{"a message of the child"};
  auto message = channel.receive(30s);
  return message ? std::string(message->text()) : message.error().sentence();
}

template <auto Role> Exit exit_of(SpawnOptions options = {}) {
  auto child = spawn<Role>(std::move(options));
  if (!child) return child.error().exit() ? *child.error().exit() : Exit{};
  const Waiting waiting{"the child's end"};
  auto exit = child->wait(30s);
  return exit ? *exit : Exit{};
}

Fd open_pidfd(pid_t pid) {
  // The header of glibc 2.36 declares the function for C alone.
  return Fd::adopt(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

/// A process that is not our child, by a descriptor of our own: has it gone, within a time?
bool goes(pid_t pid) {
  const Waiting waiting{"the end of a process"};
  const auto pidfd = open_pidfd(pid);
  if (!pidfd) return errno == ESRCH;
  pollfd entry{.fd = pidfd.native(), .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, 30'000) == 1;
}

bool is_alive(pid_t pid) {
  const auto pidfd = open_pidfd(pid);
  pollfd entry{.fd = pidfd.native(), .events = POLLIN, .revents = 0};
  return pidfd && ::poll(&entry, 1, 0) == 0;
}

pid_t number(const std::string& text) { return static_cast<pid_t>(std::atoi(text.c_str())); }

bool is_sanitized() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return true;
#else
  return false;
#endif
}

// Starting and talking.

TEST(process, a_role_runs_in_a_process_of_its_own_and_talks) {
  auto child = or_throw(spawn<say_hello>());
  EXPECT_NE(child.pid(), ::getpid());
  EXPECT_EQ(child.name(), "say_hello");
  EXPECT_EQ(message_of(child.channel()), "hello from say_hello");
  EXPECT_EQ(or_throw(child.wait(30s)), Exit::exited(0));
  EXPECT_EQ(or_throw(child.try_exit()), Exit::exited(0));
}

TEST(process, a_lambda_is_a_role) {
  auto child = or_throw(spawn<[](Bootstrap&) { std::exit(7); }>({.name = "seven"}));
  EXPECT_EQ(child.name(), "seven");
  EXPECT_EQ(or_throw(child.wait(30s)), Exit::exited(7));
}

TEST(process, every_mechanism_of_processes_serves_as_main_channel) {
  for (const Mechanism mechanism : {Mechanism::shm, Mechanism::unix_socket}) {
    auto child = or_throw(spawn<say_hello>({.mechanism = mechanism}));
    EXPECT_EQ(child.channel().mechanism(), mechanism);
    EXPECT_EQ(message_of(child.channel()), "hello from say_hello");
  }
}

TEST(process, arguments_arrive_with_their_types) {
  auto child = or_throw(spawn<answer_with_arguments>(
      {.arguments = arguments(1, "text", Config{.title = "t", .numbers = {1, 2, 3}})}));
  EXPECT_EQ(message_of(child.channel()), "1 text t 3 invalid");
}

TEST(process, arguments_of_any_size_arrive) {
  const std::string large(3'000'000, 'x');
  auto child = or_throw(spawn<[](Bootstrap& boot) {
    auto [text] = or_exit(boot.arguments<std::string>());
    or_exit(boot.channel().send(as_bytes(std::to_string(text.size())), 10s));
  }>({.arguments = arguments(large)}));
  EXPECT_EQ(message_of(child.channel()), "3000000");
}

TEST(process, arguments_of_other_types_are_told) {
  auto child = or_throw(spawn<read_wrong_arguments>({.arguments = arguments(1)}));
  EXPECT_THAT(message_of(child.channel()), HasSubstr("values of other types"));
}

TEST(process, channels_regions_and_descriptors_are_handed_over_by_name) {
  auto log = or_throw(pair(Mechanism::unix_socket));
  auto frame = or_throw(Region::create(4096));
  std::memcpy(frame.mutable_bytes().data(), "frame", 5);
  const auto path = temporary_folder() / "file";
  std::ofstream{path} << "!";
  auto file = Fd::adopt(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  auto child = or_throw(spawn<use_what_it_was_given>({.channels = {{"log", std::move(log.second)}},
                                                      .regions = {{"frame", std::move(frame)}},
                                                      .descriptors = {{"file", std::move(file)}}}));
  EXPECT_EQ(message_of(child.channel()), "frame! once");
  EXPECT_EQ(message_of(log.first), "logged");
}

TEST(process, more_descriptors_than_fit_into_a_packet_arrive) {
  SpawnOptions options;
  for (int i = 0; i < 300; ++i) {
    options.descriptors.add(std::to_string(i),
                            Fd::adopt(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  }
  auto child = or_throw(spawn<[](Bootstrap& boot) {
    int found = 0;
    for (int i = 0; i < 300; ++i) found += boot.descriptor(std::to_string(i)).has_value();
    or_exit(boot.channel().send(as_bytes(std::to_string(found)), 10s));
  }>(std::move(options)));
  EXPECT_EQ(message_of(child.channel()), "300");
}

TEST(process, a_child_has_what_it_was_given_and_nothing_else) {
  const auto open_here = Fd::adopt(::open("/dev/zero", O_RDONLY));  // not close-on-exec
  const auto folder = temporary_folder();
  sigset_t usr1;
  sigset_t before;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &usr1, &before);
  const auto pipe_before = ::signal(SIGPIPE, SIG_IGN);
  ::setenv("SECRET_OF_THE_HOST", "1", 1);
  auto child =
      spawn<tell_about_itself>({.environment = {{"A=1", "B=2"}}, .working_directory = folder});
  ::unsetenv("SECRET_OF_THE_HOST");
  ::signal(SIGPIPE, pipe_before);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(child) << child.error();
  const std::string told = message_of(child->channel());
  EXPECT_THAT(told, HasSubstr("cwd " + folder.string() + "\n"));
  EXPECT_THAT(told, HasSubstr("--bulkhead-child=3 tell_about_itself"));
  EXPECT_THAT(told, HasSubstr("own group 1"));
  EXPECT_THAT(told, HasSubstr("usr1 blocked 0"));
  EXPECT_THAT(told, HasSubstr("pipe ignored 0"));
  EXPECT_THAT(told, HasSubstr("A=1\nB=2\n"));
  EXPECT_THAT(told, Not(HasSubstr("SECRET")));
  EXPECT_THAT(told, Not(HasSubstr("/dev/zero")));
  EXPECT_THAT(told, HasSubstr("0 /dev/null"));
}

TEST(process, a_sandboxed_child_does_not_see_the_environment) {
  ::setenv("SECRET_OF_THE_HOST", "1", 1);
  auto child = spawn<[](Bootstrap& boot) {
    const bool seen = std::getenv("SECRET_OF_THE_HOST") != nullptr;
    or_exit(boot.channel().send(as_bytes(seen ? "seen" : "not seen"), 10s));
  }>({.sandbox = sandbox::compute_only});
  ::unsetenv("SECRET_OF_THE_HOST");
  ASSERT_TRUE(child) << child.error();
  EXPECT_EQ(message_of(child->channel()), "not seen");
}

TEST(process, a_sandboxed_child_says_what_confines_it) {
  auto child = or_throw(spawn<wait_for_close>({.sandbox = sandbox::compute_only}));
  EXPECT_EQ(child.sandbox_report().locked, 1) << child.sandbox_report();
  EXPECT_EQ(child.channel().trust(), Trust::untrusted);
  auto free = or_throw(spawn<wait_for_close>());
  EXPECT_EQ(free.sandbox_report().locked, 0);
  EXPECT_EQ(free.channel().trust(), Trust::equal);
}

// Ends.

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

// Nobody is left.

TEST(process_tree, grandchildren_end_with_the_child) {
  auto child = or_throw(spawn<fork_and_tell>());
  const pid_t grandchild = number(message_of(child.channel()));
  ASSERT_GT(grandchild, 0);
  EXPECT_TRUE(is_alive(grandchild));
  EXPECT_EQ(or_throw(child.terminate(20s)), Exit::exited(0));
  EXPECT_TRUE(goes(grandchild));
}

TEST(process_tree, grandchildren_end_with_a_child_that_is_killed_by_somebody) {
  auto child = or_throw(spawn<fork_and_tell>());
  const pid_t grandchild = number(message_of(child.channel()));
  ::kill(child.pid(), SIGKILL);
  EXPECT_EQ(or_throw(child.wait(30s)), Exit::killed(SIGKILL));
  EXPECT_TRUE(goes(grandchild));
}

TEST(process_tree, children_of_a_child_end_with_it) {
  auto child = or_throw(spawn<start_a_child_of_its_own>());
  const pid_t inner = number(message_of(child.channel()));
  ASSERT_GT(inner, 0);
  EXPECT_TRUE(is_alive(inner));
  EXPECT_EQ(or_throw(child.kill()), Exit::killed(SIGKILL));
  EXPECT_TRUE(goes(inner));
}

TEST(process_tree, nobody_outlives_a_parent_that_is_killed) {
  auto parent = Child::start("makes_a_family");
  std::vector<pid_t> family;
  std::istringstream line{parent.read_line()};
  for (pid_t pid = 0; line >> pid;) family.push_back(pid);
  ASSERT_EQ(family.size(), 4u);  // child, its fork, its child, a hostile one
  for (const pid_t pid : family) EXPECT_TRUE(is_alive(pid));
  parent.kill(SIGKILL);
  parent.wait();
  for (const pid_t pid : family) EXPECT_TRUE(goes(pid)) << pid;
}

TEST(process_tree, a_child_outlives_the_thread_that_spawned_it) {
  std::optional<Process> child;
  std::thread{[&] { child.emplace(or_throw(spawn<tell_and_wait>())); }}.join();
  EXPECT_EQ(message_of(child->channel()), "here");
  EXPECT_TRUE(child->running());
}

TEST(process_tree, an_independent_child_stays_when_its_process_goes) {
  pid_t pid = 0;
  {
    auto child = or_throw(spawn<ignore_everything>({.lifetime = Lifetime::independent}));
    pid = child.pid();
    EXPECT_EQ(message_of(child.channel()), "here");
  }
  EXPECT_TRUE(is_alive(pid));
  ::kill(pid, SIGKILL);
  EXPECT_TRUE(goes(pid));
  or_throw(or_throw(spawn<return_at_once>()).wait(30s));  // a spawn reaps what has ended meanwhile
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(process_tree, a_hundred_spawns_leave_nothing) {
  const auto before = test::Census::take();
  for (int i = 0; i < 100; ++i) {
    auto child = or_throw(spawn<tell_and_wait>());
    if (i % 3 == 0) {
      EXPECT_EQ(message_of(child.channel()), "here");
    }
    if (i % 3 == 1) or_throw(child.kill());
  }
  EXPECT_THAT(before.settle(2s), testing::IsEmpty());
}

TEST(process_tree, a_child_killed_at_a_random_moment_of_its_start_is_an_error_or_a_process) {
  std::mt19937 random{11};
  std::atomic<bool> stop{false};
  const pid_t self = ::getpid();
  // Kills what is a child of ours and young, by /proc, as an out-of-memory killer would.
  std::thread killer{[&] {
    while (!stop) {
      std::ifstream children{"/proc/self/task/" + std::to_string(self) + "/children"};
      for (pid_t pid = 0; children >> pid;) ::kill(pid, SIGKILL);
      std::this_thread::yield();
    }
  }};
  int died = 0;
  for (int i = 0; i < 60; ++i) {
    auto child = spawn<tell_and_wait>();
    if (!child) {
      EXPECT_EQ(child.error().kind(), ErrorKind::peer_died) << child.error();
      ++died;
      continue;
    }
    auto answer = child->channel().receive(30s);
    if (!answer) {
      EXPECT_EQ(answer.error().kind(), ErrorKind::peer_died) << answer.error();
    }
  }
  stop = true;
  killer.join();
  RecordProperty("died_at_start", died);
}

TEST(process_tree_threaded, many_threads_spawn_at_once) {
  std::vector<std::thread> threads;
  std::atomic<int> greeted{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 4; ++round) {
        auto child = or_throw(spawn<say_hello>());
        greeted += message_of(child.channel()) == "hello from say_hello";
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(greeted, 32);
}

// The host.

std::atomic<int> children_heard{0};

TEST(process_host, its_child_handler_and_its_reaping_are_left_alone) {
  struct sigaction mine{};
  struct sigaction before{};
  mine.sa_handler = [](int) { ++children_heard; };
  mine.sa_flags = SA_RESTART;
  ::sigaction(SIGCHLD, &mine, &before);
  EXPECT_EQ(exit_of<leave_with_three>(), Exit::exited(3));
  struct sigaction after{};
  ::sigaction(SIGCHLD, &before, &after);
  EXPECT_EQ(after.sa_handler, mine.sa_handler);
}

TEST(process_host, may_reap_everything_and_the_exit_is_known_all_the_same) {
  auto child = or_throw(spawn<leave_with_three>());
  const Waiting waiting{"waitpid(-1)"};
  int status = 0;
  ASSERT_EQ(::waitpid(-1, &status, 0), child.pid());
  const Exit exit = or_throw(child.wait(30s));
  // Told by Linux 6.15 and later.
  if (exit.cause == Exit::Cause::unknown) {
    EXPECT_THAT(exit.detail, HasSubstr("reaped"));
  } else {
    EXPECT_EQ(exit, Exit::exited(3));
  }
}

TEST(process_host, may_ignore_child_signals) {
  const auto before = ::signal(SIGCHLD, SIG_IGN);
  auto child = or_throw(spawn<fork_and_tell>());
  const pid_t grandchild = number(message_of(child.channel()));
  EXPECT_TRUE(child.kill());
  EXPECT_TRUE(goes(grandchild));
  ::signal(SIGCHLD, before);
}

TEST(process_host, a_forked_copy_neither_ends_nor_waits_for_the_children) {
  auto child = or_throw(spawn<tell_and_wait>());
  EXPECT_EQ(message_of(child.channel()), "here");
  const pid_t copy = ::fork();
  if (copy == 0) {
    bool right = child.wait(0s).error() == ErrorKind::invalid;
    right = right && child.kill().error() == ErrorKind::invalid && !child.running();
    {
      auto taken = std::move(child);
    }
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(copy, &status, 0), copy);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(child.running());
  EXPECT_EQ(or_throw(child.terminate(20s)), Exit::exited(0));
}

TEST(process_host, a_forked_copy_does_not_keep_the_children_alive) {
  auto parent = Child::start("makes_a_family", {"and a copy of itself"});
  std::vector<pid_t> family;
  std::istringstream line{parent.read_line()};
  for (pid_t pid = 0; line >> pid;) family.push_back(pid);
  ASSERT_EQ(family.size(), 5u);
  parent.kill(SIGKILL);
  parent.wait();
  const pid_t copy = family.back();
  family.pop_back();
  for (const pid_t pid : family) EXPECT_TRUE(goes(pid)) << pid;
  EXPECT_TRUE(is_alive(copy));
  ::kill(copy, SIGKILL);
  EXPECT_TRUE(goes(copy));
}

// What goes wrong.

TEST(process_failure, spawn_before_init_is_invalid) {
  auto program = Child::start("spawns_before_init");
  EXPECT_THAT(program.read_all(),
              HasSubstr("spawn role: bulkhead::init has not been called; call it first thing in "
                        "main"));
}

TEST(process_failure, a_missing_folder_is_told) {
  auto child = spawn<say_hello>({.working_directory = "/nowhere/at/all"});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().kind(), ErrorKind::not_found);
  EXPECT_EQ(child.error().sentence(),
            "spawn say_hello: enter folder /nowhere/at/all: No such file or directory");
}

TEST(process_failure, an_output_file_that_cannot_be_opened_is_told) {
  auto child = spawn<say_hello>({.output = Output::file("/nowhere/at/all")});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().kind(), ErrorKind::not_found);
}

TEST(process_failure, without_free_descriptors_it_is_exhausted_and_nothing_is_left) {
  const auto before = test::Census::take();
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  std::vector<Fd> hoard;
  int refused = 0;
  int started = 0;
  // From none free to enough: every call that makes a descriptor is the first to fail once.
  rlimit small = limit;
  for (rlim_t room = 0; room < 40 && started == 0; ++room) {
    const auto next = Fd::adopt(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    small.rlim_cur = static_cast<rlim_t>(next.native()) + room;
    ::setrlimit(RLIMIT_NOFILE, &small);
    auto child = spawn<wait_for_close>();
    ::setrlimit(RLIMIT_NOFILE, &limit);
    if (child) {
      ++started;
    } else {
      EXPECT_EQ(child.error().kind(), ErrorKind::exhausted) << child.error();
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_EQ(started, 1);
  EXPECT_THAT(before.settle(2s), testing::IsEmpty());
}

TEST(process_failure, without_room_for_a_process_it_is_exhausted) {
  auto program = Child::start("has_no_room_for_processes");
  EXPECT_THAT(program.read_all(), HasSubstr("exhausted: spawn role: start process: no more "
                                            "processes are allowed"));
}

TEST(process_failure, an_executable_that_is_removed_can_still_be_spawned) {
  const auto copy = temporary_folder() / "removes_itself";
  std::filesystem::copy_file(test::program_path("removes_itself"), copy);
  auto program = Child::start(copy.string());
  EXPECT_EQ(program.read_all(), "started after removal: exit code 0\n");
}

TEST(process_failure, a_child_that_dies_before_its_role_never_started) {
  ::setenv("DIE_IN_STATIC_INITIALISER", "1", 1);
  auto program = Child::start("dies_before_main");
  const std::string told = program.read_all();
  ::unsetenv("DIE_IN_STATIC_INITIALISER");
  EXPECT_THAT(told, HasSubstr("died: never started: SIGABRT"));
}

TEST(process_failure, a_role_that_does_not_begin_in_time_is_told) {
  auto program = Child::start("dies_before_main", {"or hangs"});
  EXPECT_THAT(program.read_all(), HasSubstr("its role did not begin in time"));
}

TEST(process_failure, an_inproc_channel_cannot_be_handed_over) {
  auto ends = or_throw(pair(Mechanism::inproc));
  auto child = spawn<say_hello>({.channels = {{"log", std::move(ends.first)}}});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().kind(), ErrorKind::unsupported) << child.error();
}

TEST(process_failure, a_child_flag_given_by_hand_does_not_start_anything) {
  auto program = Child::start("removes_itself", {"--bulkhead-child=0"});
  EXPECT_EQ(WEXITSTATUS(program.wait()), 125);
}

// Standard output.

std::string read_all(FdView pipe) {
  std::string text;
  for (;;) {
    char buffer[4096];
    const auto got = ::read(pipe.native(), buffer, sizeof buffer);
    if (got == 0) return text;
    if (got > 0) text.append(buffer, static_cast<std::size_t>(got));
    if (got < 0 && errno == EAGAIN) {
      pollfd entry{.fd = pipe.native(), .events = POLLIN, .revents = 0};
      ::poll(&entry, 1, 30'000);
    }
  }
}

TEST(process_output, captured_is_a_pipe_to_read) {
  auto child = or_throw(spawn<print_and_leave>({.output = Output::captured()}));
  EXPECT_EQ(read_all(child.output()), "first line\nsecond line\nno end");
}

TEST(process_output, goes_to_a_file) {
  const auto path = temporary_folder() / "out";
  EXPECT_EQ(exit_of<print_and_leave>({.output = Output::file(path)}), Exit::exited(0));
  std::ifstream file{path};
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  EXPECT_EQ(text, "first line\nsecond line\nno end");
}

TEST(process_output, discarded_is_gone) {
  EXPECT_EQ(exit_of<print_and_leave>({.output = Output::discard()}), Exit::exited(0));
}

/// What this process writes to standard error meanwhile.
template <class Work> std::string standard_error_during(Work work) {
  const auto path = temporary_folder() / "stderr";
  const auto before = Fd::adopt(::dup(STDERR_FILENO));
  ::dup2(Fd::adopt(::open(path.c_str(), O_CREAT | O_WRONLY, 0600)).native(), STDERR_FILENO);
  work();
  ::dup2(before.native(), STDERR_FILENO);
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

TEST(process_output, prefixed_lines_come_while_somebody_waits) {
  std::string who;
  const std::string text = standard_error_during([&] {
    auto child = or_throw(spawn<print_and_leave>({.output = Output::prefixed()}));
    who = child.who();
    or_throw(child.wait(30s));
  });
  EXPECT_EQ(text, who + ": first line\n" + who + ": second line\n" + who + ": no end\n");
}

TEST(process_output, prefixed_output_larger_than_a_pipe_arrives_whole) {
  const std::string text = standard_error_during(
      [] { EXPECT_EQ(exit_of<print_much>({.output = Output::prefixed()}), Exit::exited(0)); });
  EXPECT_EQ(std::ranges::count(text, '\n'), 20'000);
  EXPECT_THAT(text, HasSubstr(": line 19999 of many\n"));
}

// A thread instead.

TEST(process_placement, the_same_role_runs_as_a_thread) {
  auto child = or_throw(spawn<say_hello>({.placement = Placement::thread}));
  EXPECT_EQ(child.pid(), ::getpid());
  EXPECT_EQ(child.channel().mechanism(), Mechanism::inproc);
  EXPECT_EQ(message_of(child.channel()), "hello from say_hello");
  EXPECT_EQ(or_throw(child.wait(30s)), Exit::exited(0));
}

TEST(process_placement, a_thread_gets_the_same_things) {
  auto log = or_throw(pair(Mechanism::inproc));
  auto frame = or_throw(Region::create(4096));
  std::memcpy(frame.mutable_bytes().data(), "frame", 5);
  auto file = Fd::adopt(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  auto child = or_throw(spawn<use_what_it_was_given>({.channels = {{"log", std::move(log.second)}},
                                                      .regions = {{"frame", std::move(frame)}},
                                                      .descriptors = {{"file", std::move(file)}},
                                                      .placement = Placement::thread}));
  EXPECT_EQ(message_of(child.channel()), std::string("frame\0 once", 11));
  EXPECT_EQ(message_of(log.first), "logged");
  auto reader = or_throw(spawn<answer_with_arguments>(
      {.arguments = arguments(1, "text", Config{.title = "t"}), .placement = Placement::thread}));
  EXPECT_EQ(message_of(reader.channel()), "1 text t 0 invalid");
}

TEST(process_placement, a_thread_ends_by_its_channel_and_cannot_be_killed) {
  auto child = or_throw(spawn<wait_for_close>({.placement = Placement::thread}));
  EXPECT_EQ(child.kill().error().kind(), ErrorKind::unsupported);
  EXPECT_TRUE(child.running());
  EXPECT_EQ(or_throw(child.terminate(30s)), Exit::exited(0));
}

TEST(process_placement, a_thread_has_no_sandbox) {
  auto child = spawn<say_hello>({.sandbox = sandbox::compute_only, .placement = Placement::thread});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().kind(), ErrorKind::unsupported);
}

// A debugger.

TEST(process_debug, a_role_that_is_named_waits_for_a_debugger) {
  auto program = Child::start("waits_for_debugger");
  const pid_t child = number(program.read_line());
  ASSERT_GT(child, 0);
  EXPECT_TRUE(is_alive(child));
  ASSERT_TRUE(program.write("attach\n"));
  EXPECT_EQ(program.read_line(), "began: exit code 0");
}

}  // namespace

// SPDX-License-Identifier: Apache-2.0
//
// Processes, as a program that uses them sees them: what a child gets, how it talks, where what it
// prints goes, and the same role on a thread.
#include <algorithm>
#include <array>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <iterator>
#include <unistd.h>

#include <bulkhead/process.hpp>

#include "support/census.hpp"
#include "support/children.hpp"
#include "support/process_roles.hpp"

namespace {

using namespace bulkhead;
using namespace bulkhead::test;
using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

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
  const std::string ended = program.read_line();
  EXPECT_THAT(ended, StartsWith("began: "));
  if (!is_sanitized()) {
    EXPECT_EQ(ended, "began: exit code 0");
  }
}

}  // namespace

// SPDX-License-Identifier: Apache-2.0
//
// isolate: a call that comes back, with the result or with how it failed.
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <stdexcept>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <bulkhead/isolate.hpp>

#include "support/census.hpp"
#include "support/process_roles.hpp"

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::MatchesRegex;

struct Size {
  int width = 0;
  int height = 0;
  bool operator==(const Size&) const = default;
};

Size twice(Size size) { return {size.width * 2, size.height * 2}; }
std::string repeat(const std::string& text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}
Result<int> half(int number) {
  if (number % 2 != 0) {
    return fail(ErrorKind::invalid, {.cause = std::to_string(number) + " is odd"});
  }
  return number / 2;
}
std::map<std::string, std::size_t> count_words(std::vector<std::string> words) noexcept {
  std::map<std::string, std::size_t> counts;
  for (const auto& word : words) ++counts[word];
  return counts;
}
void nothing() {}
pid_t who_runs_this() { return ::getpid(); }
int throws(std::string text) { throw std::runtime_error{text}; }

volatile int* volatile nowhere = reinterpret_cast<int*>(0x10);
void crashes() { *nowhere = 1; }
void hangs() {
  for (;;) ::pause();
}
void spins() {
  static volatile int turns = 0;
  for (;;) static_cast<void>(turns);
}
std::size_t eats_memory() {
  std::vector<std::vector<char>> all;
  for (;;) all.emplace_back(std::size_t{16} << 20, 'x');
}
void opens_a_file() { ::close(::open("/etc/passwd", O_RDONLY)); }
void opens_a_socket() { ::close(::socket(AF_INET, SOCK_STREAM, 0)); }
void leaves() { std::_Exit(3); }
int fills_the_stack(int depth) {
  volatile char room[1 << 16];
  room[0] = static_cast<char>(depth);
  return depth == -1 ? 0 : fills_the_stack(depth + 1) + room[0];
}
std::size_t size_of(Fd file) {
  return static_cast<std::size_t>(::lseek(file.native(), 0, SEEK_END));
}

TEST(isolate, returns_what_the_function_returns) {
  EXPECT_EQ(or_throw(isolate<twice>(Size{2, 3})), (Size{4, 6}));
  EXPECT_EQ(or_throw(isolate<repeat>("ab", 3)), "ababab");
  EXPECT_TRUE(isolate<nothing>());
  EXPECT_EQ(or_throw(isolate<[](int a, long b) { return a + b; }>(1, 2)), 3);
}

TEST(isolate, runs_in_another_process) {
  EXPECT_NE(or_throw(isolate<who_runs_this>()), ::getpid());
}

TEST(isolate, flattens_a_result) {
  EXPECT_EQ(or_throw(isolate<half>(4)), 2);
  const auto failed = isolate<half>(5);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind(), ErrorKind::invalid);
  EXPECT_EQ(failed.error().sentence(), "half: 5 is odd");
}

TEST(isolate, carries_containers_and_large_values_both_ways) {
  EXPECT_EQ(or_throw(isolate<count_words>(std::vector<std::string>{"a", "b", "a"})),
            (std::map<std::string, std::size_t>{{"a", 2}, {"b", 1}}));
  const std::string large(5'000'000, 'x');
  EXPECT_EQ(or_throw(isolate<repeat>(large, 2)).size(), 10'000'000u);
}

TEST(isolate, carries_descriptors) {
  const auto path = test::temporary_folder() / "file";
  auto file = Fd::adopt(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  ASSERT_EQ(::write(file.native(), "12345", 5), 5);
  EXPECT_EQ(or_throw(isolate<size_of>(std::move(file))), 5u);
}

TEST(isolate, an_exception_is_an_error_in_words) {
  const auto failed = isolate<throws>("it is too late");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().sentence(), "throws: it threw: it is too late");
}

TEST(isolate, a_crash_is_an_error_that_says_where) {
  const auto failed = isolate<crashes>();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind(), ErrorKind::peer_died);
  EXPECT_THAT(failed.error().sentence(),
              MatchesRegex("crashes: crashes \\([0-9]+\\) died: SIGSEGV at 0x10"));
}

TEST(isolate, a_stack_overflow_is_an_error) {
  const auto failed = isolate<fills_the_stack>(0);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().sentence(), HasSubstr("died: SIGSEGV at 0x"));
}

TEST(isolate, a_hang_is_killed_at_the_deadline) {
  const auto failed = isolate<hangs>({.deadline = 2s});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind(), ErrorKind::timed_out);
  EXPECT_THAT(failed.error().sentence(),
              MatchesRegex("hangs: hangs \\([0-9]+\\) was killed: hang: no result within 2 s; .*"));
}

TEST(isolate, an_endless_loop_is_killed_at_the_deadline) {
  EXPECT_EQ(isolate<spins>({.deadline = 1500ms}).error().kind(), ErrorKind::timed_out);
}

TEST(isolate, running_out_of_memory_is_an_error_that_names_the_limit) {
  if (test::is_sanitized()) GTEST_SKIP() << "a sanitizer's allocator ends the process by itself";
  Sandbox small = sandbox::compute_only;
  small.limits.memory_bytes = 64 << 20;
  const auto failed = isolate<eats_memory>({.sandbox = small});
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().sentence(), HasSubstr("died: out of memory (limit 64 MiB)"));
}

TEST(isolate, opening_a_file_is_an_error_that_names_the_call) {
  EXPECT_THAT(isolate<opens_a_file>().error().sentence(),
              HasSubstr("died: sandbox violation: open"));
}

TEST(isolate, opening_a_socket_is_an_error_that_names_the_call) {
  EXPECT_THAT(isolate<opens_a_socket>().error().sentence(),
              HasSubstr("died: sandbox violation: socket"));
}

TEST(isolate, a_function_that_leaves_is_an_error) {
  EXPECT_THAT(isolate<leaves>().error().sentence(), HasSubstr("died: exit code 3"));
}

TEST(isolate, without_a_sandbox_the_function_may_do_as_it_likes) {
  EXPECT_TRUE(isolate<opens_a_file>({.sandbox = sandbox::none}));
}

TEST(isolate_threaded, many_threads_isolate_at_once) {
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&right, i] {
      for (int k = 0; k < 5; ++k) {
        const auto size = isolate<twice>(Size{i, k});
        right += size && *size == Size{2 * i, 2 * k};
        right += !isolate<crashes>();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 40);
}

}  // namespace

// SPDX-License-Identifier: Apache-2.0
//
// The Pool as a program that uses it sees it: maps, single calls, options, what comes back of each
// kind of failure.
#include <coroutine>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>
#include <optional>
#include <ranges>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <utility>
#include <vector>

#include <bulkhead/asio.hpp>
#include <bulkhead/pool.hpp>

#include "support/census.hpp"
#include "support/process_roles.hpp"

namespace {

using namespace bulkhead;
using namespace bulkhead::test;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

int square(int number) { return number * number; }

std::vector<int> numbers(int count) {
  std::vector<int> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

TEST(pool, a_map_gives_each_input_with_its_result_in_order) {
  Pool pool{{.workers = 2}};
  int expected = 0;
  for (auto& [number, result] : pool.map<square>(numbers(1000))) {
    ASSERT_EQ(number, expected);
    ASSERT_TRUE(result) << result.error();
    ASSERT_EQ(*result, expected * expected);
    ++expected;
  }
  EXPECT_EQ(expected, 1000);
}

TEST(pool, an_unordered_map_gives_each_input_once) {
  Pool pool{{.workers = 2}};
  std::vector<int> seen;
  for (auto& [number, result] : pool.map_unordered<square>(numbers(1000))) {
    ASSERT_TRUE(result) << result.error();
    EXPECT_EQ(*result, number * number);
    seen.push_back(number);
  }
  std::ranges::sort(seen);
  EXPECT_EQ(seen, numbers(1000));
}

TEST(pool, one_call_comes_back_as_a_future) {
  Pool pool{{.workers = 1}};
  auto nine = pool.submit<square>(3);
  auto text =
      pool.submit<[](const std::string& a, int n) { return a + std::to_string(n); }>("a", 7);
  EXPECT_EQ(or_exit(text.get(20s)), "a7");
  EXPECT_EQ(or_exit(nine.get(20s)), 9);
  EXPECT_EQ(nine.get(0s).error(), ErrorKind::invalid);
}

/// A coroutine that yields numbers; it has no end unless it is given one.
struct Numbers {
  struct promise_type {
    int value = 0;
    Numbers get_return_object() {
      return Numbers{std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(int next) noexcept {
      value = next;
      return {};
    }
    void return_void() noexcept {}
    void unhandled_exception() { std::terminate(); }
  };
  struct Iterator {
    std::coroutine_handle<promise_type> handle;
    int operator*() const { return handle.promise().value; }
    Iterator& operator++() {
      handle.resume();
      return *this;
    }
    bool operator==(std::default_sentinel_t) const { return handle.done(); }
  };

  explicit Numbers(std::coroutine_handle<promise_type> made) : handle(made) {}
  Numbers(Numbers&& other) noexcept : handle(std::exchange(other.handle, nullptr)) {}
  ~Numbers() {
    if (handle) handle.destroy();
  }
  Iterator begin() {
    handle.resume();
    return {handle};
  }
  std::default_sentinel_t end() const { return {}; }

  std::coroutine_handle<promise_type> handle;
};

int taken_from_endless = 0;
Numbers endless() {
  for (int i = 0;; ++i) {
    ++taken_from_endless;
    co_yield i;
  }
}

TEST(pool, an_endless_coroutine_is_read_no_further_than_what_may_be_in_flight) {
  Pool pool{{.workers = 2}};
  int delivered = 0;
  for (auto& [number, result] : pool.map<square>(endless(), {.in_flight = 10})) {
    ASSERT_EQ(number, delivered);
    ASSERT_TRUE(result) << result.error();
    if (++delivered == 500) break;
  }
  EXPECT_LE(taken_from_endless, 510);
  EXPECT_TRUE(pool.wait(20s));
}

TEST(pool, views_and_tuples_are_inputs_too) {
  Pool pool{{.workers = 2}};
  auto even = std::views::iota(0, 20) | std::views::filter([](int i) { return i % 2 == 0; });
  int sum = 0;
  for (auto& [number, result] : pool.map<square>(even)) sum += or_exit(result);
  EXPECT_EQ(sum, 1140);
  const std::vector<std::pair<int, std::string>> pairs{{2, "ab"}, {3, "c"}};
  std::vector<std::string> texts;
  const auto repeat = [](int times, const std::string& text) {
    std::string all;
    while (times-- > 0) all += text;
    return all;
  };
  for (auto& [input, result] : pool.map<repeat>(pairs)) texts.push_back(or_exit(result));
  EXPECT_THAT(texts, ElementsAre("abab", "ccc"));
}

Result<int> refuse_odd(int number) {
  if (number == 5) throw std::runtime_error{"five"};
  if (number % 2 != 0) return fail(ErrorKind::invalid, {.operation = "halve", .cause = "odd"});
  return number / 2;
}

TEST(pool, an_error_or_exception_of_a_task_is_that_tasks_error) {
  Pool pool{{.workers = 2}};
  std::vector<std::string> told;
  for (auto& [number, result] : pool.map<refuse_odd>(numbers(7))) {
    told.push_back(result ? std::to_string(*result) : result.error().sentence());
  }
  EXPECT_THAT(told, ElementsAre("0", "halve: odd", "1", "halve: odd", "2", "it threw: five", "3"));
  EXPECT_EQ(pool.statistics().workers_died, 0u);
}

Result<unsigned> works_the_third_time() {
  if (this_task::attempt() < 3) return fail(ErrorKind::system);
  return this_task::attempt();
}

TEST(pool, errors_are_tried_again_where_that_is_asked_for) {
  Pool pool{{.workers = 1}};
  auto never_again = pool.submit<works_the_third_time>();
  auto thrice = pool.submit<works_the_third_time>({.retries = Retries{.errors = 2}});
  EXPECT_EQ(never_again.get(20s).error(), ErrorKind::system);
  EXPECT_EQ(or_exit(thrice.get(20s)), 3u);
}

int prepared = 0;
void prepare(int value) { prepared = value; }
int look_at_prepared() { return prepared; }
void refuse_to_start() { throw std::runtime_error{"no model"}; }

TEST(pool, each_worker_runs_the_initializer_once_first) {
  Pool pool{{.workers = 2, .initializer = initializer<prepare>(42)}};
  for (int i = 0; i < 10; ++i) EXPECT_EQ(or_exit(pool.submit<look_at_prepared>().get(20s)), 42);
}

TEST(pool, whose_workers_can_never_start_says_so_and_ends) {
  std::vector<std::string> log;
  Pool pool{{.workers = 2,
             .initializer = initializer<refuse_to_start>(),
             .log = [&](std::string_view text) { log.emplace_back(text); }}};
  auto result = pool.submit<look_at_prepared>().get(30s);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), ErrorKind::exhausted);
  EXPECT_THAT(result.error().sentence(), HasSubstr("no model"));
  EXPECT_GE(log.size(), 5u);
  const auto started = pool.start(30s);
  EXPECT_EQ(started.error(), ErrorKind::exhausted);
}

int own_pid() { return static_cast<int>(::getpid()); }

TEST(pool, workers_are_replaced_after_so_many_tasks) {
  Pool pool{{.workers = 1, .recycle_after_tasks = 10}};
  std::vector<int> pids;
  for (int i = 0; i < 30; ++i) pids.push_back(or_exit(pool.submit<own_pid>().get(20s)));
  pids.erase(std::ranges::unique(pids).begin(), pids.end());
  EXPECT_EQ(pids.size(), 3u);
  EXPECT_GE(pool.statistics().workers_recycled, 2u);
}

int keeps_memory() {
  static std::vector<std::vector<char>> kept;
  kept.emplace_back(8 << 20, 'x');
  return own_pid();
}

TEST(pool, workers_are_replaced_when_they_have_grown) {
  if (is_sanitized()) GTEST_SKIP() << "memory means little under a sanitizer";
  Pool pool{{.workers = 1, .recycle_at_bytes = 48 << 20}};
  std::vector<int> pids;
  for (int i = 0; i < 12; ++i) pids.push_back(or_exit(pool.submit<keeps_memory>().get(20s)));
  pids.erase(std::ranges::unique(pids).begin(), pids.end());
  EXPECT_GE(pids.size(), 2u);
  EXPECT_LE(pids.size(), 6u);
}

/// Says in a file that it has begun, and waits until it may go on.
void wait_for_file(const std::filesystem::path& begun, const std::filesystem::path& go) {
  std::ofstream{begun} << "here";
  while (!std::filesystem::exists(go)) ::poll(nullptr, 0, 1);
}

int note_order(int number, const std::filesystem::path& file) {
  std::ofstream{file, std::ios::app} << number << ' ';
  return number;
}

void until_exists(Pool& pool, const std::filesystem::path& file) {
  const Waiting waiting{"a task to begin"};
  while (!std::filesystem::exists(file)) pool.wait(1ms);
}

TEST(pool, what_is_more_urgent_goes_first) {
  const auto folder = temporary_folder();
  Pool pool{{.workers = 1}};
  auto blocker = pool.submit<wait_for_file>(folder / "begun", folder / "go");
  until_exists(pool, folder / "begun");
  std::vector<Future<int>> tasks;
  // The worker is at the blocker, and nothing is sent ahead before the pool is waited for.
  for (const int urgency : {0, 1, 5, 3, 5}) {
    tasks.push_back(pool.submit<note_order>({.priority = urgency}, urgency, folder / "order"));
  }
  std::ofstream{folder / "go"} << "go";
  EXPECT_TRUE(pool.wait(20s));
  std::ifstream order{folder / "order"};
  std::string text{std::istreambuf_iterator<char>{order}, {}};
  EXPECT_EQ(text, "5 5 3 1 0 ");
}

void spin_until_cancelled() {
  while (!this_task::cancelled()) ::poll(nullptr, 0, 1);
}
void never_ends(const std::filesystem::path& begun) {
  std::ofstream{begun} << "here";
  for (;;) ::pause();
}

TEST(pool, a_cancelled_task_that_listens_keeps_its_worker) {
  Pool pool{{.workers = 1, .cancel_grace = 20s}};
  or_exit(pool.start(20s));
  const auto before = pool.worker_pids();
  auto task = pool.submit<spin_until_cancelled>();
  EXPECT_FALSE(task.ready());
  task.cancel();
  EXPECT_EQ(task.get(20s).error(), ErrorKind::cancelled);
  EXPECT_EQ(or_exit(pool.submit<own_pid>().get(20s)), before.front());
}

TEST(pool, a_cancelled_task_that_does_not_listen_is_killed) {
  const auto folder = temporary_folder();
  Pool pool{{.workers = 1, .cancel_grace = 1ms}};
  auto task = pool.submit<never_ends>(folder / "begun");
  auto behind = pool.submit<square>(4);
  until_exists(pool, folder / "begun");
  task.cancel();
  EXPECT_EQ(task.get(20s).error(), ErrorKind::cancelled);
  EXPECT_EQ(or_exit(behind.get(20s)), 16);
  EXPECT_EQ(pool.statistics().workers_killed, 1u);
}

TEST(pool, leaving_a_loop_and_cancelling_all_leave_nothing_to_do) {
  Pool pool{{.workers = 2, .cancel_grace = 1ms}};
  for (auto& [number, result] : pool.map<square>(numbers(1000))) {
    if (number == 10) break;
  }
  EXPECT_TRUE(pool.wait(20s));
  const auto folder = temporary_folder();
  auto one = pool.submit<never_ends>(folder / "begun");
  auto two = pool.submit<square>(2);
  pool.cancel_all();
  EXPECT_TRUE(pool.wait(20s));
  EXPECT_EQ(one.get(0s).error(), ErrorKind::cancelled);
  EXPECT_EQ(two.get(0s).error(), ErrorKind::cancelled);
  EXPECT_EQ(or_exit(pool.submit<square>(5).get(20s)), 25);
}

std::uint64_t sum_of(const Region& region) {
  std::uint64_t sum = 0;
  for (const std::byte each : region.bytes()) sum += std::to_integer<std::uint64_t>(each);
  return sum;
}

Result<Region> filled(std::size_t size) {
  auto region = BULKHEAD_TRY(Region::create(size));
  std::ranges::fill(region.mutable_bytes(), std::byte{3});
  BULKHEAD_TRY(region.freeze());
  return region;
}

TEST(pool, regions_come_and_go_without_being_copied) {
  constexpr std::size_t size = 8 << 20;
  Pool pool{{.workers = 2, .sandbox = sandbox::compute_only}};
  std::vector<Region> inputs;
  for (int i = 0; i < 3; ++i) {
    inputs.push_back(or_exit(filled(size)));
  }
  int count = 0;
  for (auto& [region, sum] : pool.map<sum_of>(std::move(inputs))) {
    EXPECT_EQ(or_exit(sum), 3 * size);
    EXPECT_EQ(region.size(), size);  // the caller's again
    ++count;
  }
  EXPECT_EQ(count, 3);
  auto made = or_exit(pool.submit<filled>(size).get(20s));
  EXPECT_EQ(sum_of(made), 3 * size);
  // Counted: nearly nothing went through the channels.
  EXPECT_LT(pool.statistics().bytes_sent, 1024u);
  EXPECT_LT(pool.statistics().bytes_received, 1024u);
}

std::size_t length_of(const std::string& text) { return text.size(); }
std::string text_of(std::size_t length) { return std::string(length, 'x'); }

TEST(pool, long_arguments_and_results_arrive_whole) {
  Pool pool{{.workers = 2}};
  const std::string text(3 << 20, 'x');
  EXPECT_EQ(or_exit(pool.submit<length_of>(text).get(20s)), text.size());
  EXPECT_EQ(or_exit(pool.submit<text_of>(text.size()).get(20s)), text);
}

TEST(pool, progress_is_told_at_the_end_at_least) {
  Pool pool{{.workers = 2}};
  std::optional<Progress> last;
  for ([[maybe_unused]] auto& each :
       pool.map<refuse_odd>(numbers(10), {.progress = [&](const Progress& now) { last = now; }})) {
  }
  ASSERT_TRUE(last);
  EXPECT_EQ(last->done, 10u);
  EXPECT_EQ(last->failed, 5u);
  EXPECT_EQ(last->total, 10u);
}

TEST(pool, the_last_progress_is_told_once_whatever_may_be_in_flight) {
  Pool pool{{.workers = 2}};
  auto unsized =
      std::views::iota(0, 5) | std::views::filter([](int number) { return number != 2; });
  for (const std::size_t in_flight : {1, 2, 100}) {
    std::vector<std::size_t> ends;
    const MapOptions options{.in_flight = in_flight, .progress = [&](const Progress& now) {
                               if (now.total == now.done) ends.push_back(now.done);
                             }};
    for ([[maybe_unused]] auto& each : pool.map<square>(numbers(4), options)) {
    }
    for ([[maybe_unused]] auto& each : pool.map<square>(unsized, options)) {
    }
    EXPECT_THAT(ends, ElementsAre(4u, 4u)) << in_flight;
  }
}

TEST(pool, more_workers_than_cpus_are_possible_and_told) {
  std::vector<std::string> log;
  Pool pool{{.workers = available_cpus() + 1,
             .log = [&](std::string_view text) { log.emplace_back(text); }}};
  EXPECT_EQ(or_exit(pool.submit<square>(5).get(20s)), 25);
  ASSERT_FALSE(log.empty());
  EXPECT_THAT(log.front(), HasSubstr("CPUs that this process may use"));
}

std::string threads_told() {
  const char* of_openmp = ::getenv("OMP_NUM_THREADS");
  return std::to_string(this_task::threads()) + " " + (of_openmp ? of_openmp : "none");
}

TEST(pool, a_task_is_told_how_many_threads_it_is_to_use) {
  EXPECT_EQ(this_task::threads(), 1u);
  Pool usual{{.workers = 1}};
  EXPECT_EQ(or_exit(usual.submit<threads_told>().get(20s)), "1 1");
  Pool sandboxed{{.workers = 1, .threads_per_worker = 3, .sandbox = sandbox::compute_only}};
  EXPECT_EQ(or_exit(sandboxed.submit<threads_told>().get(20s)), "3 3");
  // What the user has set counts for libraries.
  ::setenv("OMP_NUM_THREADS", "2", 1);
  Pool set{{.workers = 1, .threads_per_worker = 3, .sandbox = sandbox::compute_only}};
  EXPECT_EQ(or_exit(set.submit<threads_told>().get(20s)), "3 2");
  ::unsetenv("OMP_NUM_THREADS");
}

std::vector<int> own_cpus() {
  cpu_set_t set;
  std::vector<int> cpus;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

TEST(pool, a_pinned_master_has_a_cpu_of_its_own) {
  const auto before = own_cpus();
  if (before.size() < 2) GTEST_SKIP() << "one CPU is not enough for a master and its workers";
  // The master is a thread that ends: it takes its one CPU along.
  std::jthread master{[&] {
    Pool pool{{.workers = 2, .scheduling = Scheduling::asymmetric_pinned}};
    const auto theirs = or_exit(pool.submit<own_cpus>().get(20s));
    const auto ours = own_cpus();
    ASSERT_EQ(ours.size(), 1U);
    EXPECT_FALSE(theirs.empty());
    EXPECT_LT(theirs.size(), before.size());
    EXPECT_THAT(theirs, testing::Not(testing::Contains(ours.front())));
  }};
}

TEST(pool, an_event_loop_can_await_a_result) {
  Pool pool{{.workers = 1}};
  asio::io_context io;
  auto future = pool.submit<square>(6);
  std::optional<Result<int>> got;
  future.async_get(asio::bind_executor(io, [&](Result<int> result) { got = std::move(result); }));
  io.run_for(20s);
  ASSERT_TRUE(got);
  EXPECT_EQ(or_exit(*got), 36);
}

TEST(pool, a_coroutine_can_await_the_answers_of_a_map) {
  Pool pool{{.workers = 2}};
  asio::io_context io;
  for (const bool ordered : {true, false}) {
    auto map = ordered ? pool.map<square>(numbers(300)) : pool.map_unordered<square>(numbers(300));
    int answers = 0;
    asio::co_spawn(
        io,
        [&]() -> asio::awaitable<void> {
          for (;;) {
            auto next = co_await map.async_next(asio::use_awaitable);
            if (!next || *next == nullptr) co_return;
            const auto& [number, result] = **next;
            EXPECT_TRUE(!ordered || number == answers) << number;
            EXPECT_EQ(or_exit(result), number * number);
            ++answers;
          }
        },
        asio::detached);
    io.restart();
    io.run_for(20s);
    EXPECT_EQ(answers, 300);
  }
}

TEST(pool, a_worker_sees_only_what_its_sandbox_shows) {
  const auto folder = temporary_folder();
  std::ofstream{folder / "in"} << "text";
  const auto read = [](const std::filesystem::path& file) {
    std::ifstream in{file};
    return std::string{std::istreambuf_iterator<char>{in}, {}};
  };
  Pool pool{{.workers = 1, .sandbox = sandbox::read_only(folder)}};
  EXPECT_EQ(or_exit(pool.submit<read>(folder / "in").get(20s)), "text");
  EXPECT_NE(pool.submit<read>(std::filesystem::path{"/etc/passwd"}).get(20s), "root");
}

TEST(pool, a_forked_copy_of_its_process_cannot_use_it) {
  const auto folder = temporary_folder();
  Pool pool{{.workers = 1}};
  EXPECT_EQ(or_exit(pool.submit<square>(2).get(20s)), 4);
  auto open = pool.submit<wait_for_file>(folder / "begun", folder / "go");
  const pid_t copy = ::fork();
  if (copy == 0) {
    // Neither what is new nor what was under way waits for anything.
    const auto refused = pool.submit<square>(3).get(never);
    const auto begun = open.get(never);
    bool all = true;
    for (auto& [number, result] : pool.map<square>(numbers(300))) {
      all = all && !result && result.error() == ErrorKind::invalid;
    }
    pool.cancel_all();
    all = all && pool.wait(never) && pool.start(never).error() == ErrorKind::invalid;
    ::_exit(all && refused.error() == ErrorKind::invalid && begun.error() == ErrorKind::invalid
                ? 7
                : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(copy, &status, 0), copy);
  EXPECT_EQ(WEXITSTATUS(status), 7);
  std::ofstream{folder / "go"} << "go";
  EXPECT_TRUE(open.get(20s));
  EXPECT_EQ(or_exit(pool.submit<square>(4).get(20s)), 16);
}

}  // namespace

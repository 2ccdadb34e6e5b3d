// SPDX-License-Identifier: Apache-2.0
//
// A Pool whose workers die in every way: killed at random, stopped, out of memory, by tasks that
// crash, exit, fork, close everything or lie; and whose master is killed. Nothing is lost, nothing is
// delivered twice, and what is to blame is named.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <ranges>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <bulkhead/pool.hpp>

#include "support/census.hpp"
#include "support/process_roles.hpp"
#include "support/soak.hpp"

namespace {

using namespace bulkhead;
using namespace bulkhead::test;
using namespace std::chrono_literals;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

std::uint64_t mixed(std::uint64_t number) { return (number + 1) * 0x9e3779b97f4a7c15u; }

/// Kills a worker at random, if there is one that has not been killed yet.
class Killer {
 public:
  explicit Killer(Pool& pool) : pool_(pool) {}
  void kill_one() {
    auto pids = pool_.worker_pids();
    std::erase(pids, last_);
    if (pids.empty()) return;
    last_ = pids[random_() % pids.size()];
    if (::kill(last_, SIGKILL) == 0) ++kills;
  }
  int kills = 0;

 private:
  Pool& pool_;
  std::mt19937 random_{4711};
  pid_t last_ = 0;
};

TEST(pool_faults, nothing_is_lost_or_delivered_twice_while_workers_are_killed) {
  const auto tasks =
      static_cast<std::uint64_t>(soaked(is_sanitized() ? 10'000 : 100'000, 1'000'000));
  const int kills = soaked(is_sanitized() ? 100 : 2'000, 100'000);
  Pool pool{{.workers = 4, .retries = {.crashes = 1000}, .crashes = {}}};
  Killer killer{pool};
  std::uint64_t expected = 0;
  const std::uint64_t between = tasks / static_cast<std::uint64_t>(kills);
  const auto due = [&] { return static_cast<int>(expected / between); };
  for (auto& [number, result] : pool.map<mixed>(std::views::iota(std::uint64_t{0}, tasks))) {
    ASSERT_EQ(number, expected);
    ASSERT_TRUE(result) << number << ": " << result.error();
    ASSERT_EQ(*result, mixed(number));
    ++expected;
    // Now and then nobody is there to be killed; that is made up for.
    if (killer.kills < due()) killer.kill_one();
  }
  EXPECT_EQ(expected, tasks);
  EXPECT_GE(killer.kills, kills * 9 / 10);
  EXPECT_EQ(pool.statistics().delivered, tasks);
  EXPECT_EQ(pool.statistics().failed, 0u);
  EXPECT_GT(pool.statistics().workers_died, 0u);
}

volatile int* volatile nowhere_to_write = reinterpret_cast<int*>(0x10);

int crash_at(const std::filesystem::path& file) {
  std::ifstream in{file};
  std::string text;
  in >> text;
  if (text == "bad") ::raise(SIGSEGV);
  return static_cast<int>(text.size());
}

TEST(pool_faults, poison_among_good_inputs_is_named_and_saved) {
  const auto folder = temporary_folder();
  std::vector<std::filesystem::path> files;
  for (int i = 0; i < 40; ++i) {
    files.push_back(folder / (std::to_string(i) + ".png"));
    std::ofstream{files.back()} << (i % 10 == 7 ? "bad" : "good");
  }
  Pool pool{{.workers = 2, .crashes = folder / "crashes"}};
  int poisoned = 0;
  for (auto& [file, result] : pool.map<crash_at>(files)) {
    if (result) {
      EXPECT_EQ(*result, 4);
      continue;
    }
    ++poisoned;
    EXPECT_EQ(result.error(), ErrorKind::poisoned);
    if (!is_sanitized()) {
      EXPECT_EQ(result.error().sentence(), "poisoned: SIGSEGV twice, saved as " +
                                               (folder / "crashes" / file.filename()).string());
    }
    ASSERT_NE(result.error().exit(), nullptr);
  }
  EXPECT_EQ(poisoned, 4);
  ASSERT_EQ(pool.poisoned().size(), 4u);
  EXPECT_EQ(pool.poisoned().front().exits.size(), 2u);
  std::ifstream saved{pool.poisoned().front().saved};
  std::string text;
  saved >> text;
  EXPECT_EQ(text, "bad");
  EXPECT_EQ(pool.statistics().delivered, 40u);
}

int misbehave(int how) {
  switch (how) {
    case 1:
      std::_Exit(3);
    case 2: {
      ::close_range(3, ~0u, 0);
      return 2;
    }
    case 3:
      return ::fork() == 0 ? 33 : 3;  // the copy returns too
    case 4:
      ::raise(SIGKILL);
      return 4;
    case 5:
      *nowhere_to_write = 1;
      return 5;
    case 6:
      if (::fork() == 0) {
        for (;;) ::pause();
      }
      return 6;
    default:
      return how;
  }
}

Result<int> alone(int how) {
  Pool pool{{.workers = 1, .crashes = {}}};
  auto before = pool.submit<misbehave>(100);
  auto bad = pool.submit<misbehave>(how);
  auto after = pool.submit<misbehave>(200);
  auto result = bad.get(30s);
  EXPECT_EQ(or_exit(before.get(30s)), 100);
  EXPECT_EQ(or_exit(after.get(30s)), 200);
  return result;
}

TEST(pool_faults, a_task_that_exits_is_poisoned_and_its_neighbours_are_not) {
  const auto result = alone(1);
  EXPECT_EQ(result.error().sentence(), "poisoned: exit code 3 twice");
}

TEST(pool_faults, a_task_that_closes_every_descriptor_harms_nobody_else) {
  const auto result = alone(2);
  // Its answer may still get out through memory; its worker is of no use afterwards.
  EXPECT_TRUE(result || result.error() == ErrorKind::poisoned) << result.error();
}

TEST(pool_faults, a_task_that_forks_answers_once) {
  EXPECT_EQ(or_throw(alone(3)), 3);
  EXPECT_EQ(or_throw(alone(6)), 6);
}

TEST(pool_faults, a_task_that_is_killed_or_faults_every_time_is_poisoned) {
  EXPECT_EQ(alone(4).error().sentence(), "poisoned: SIGKILL twice");
  EXPECT_EQ(alone(5).error(), ErrorKind::poisoned);
}

/// Stops its own process at the first attempt: for others it hangs.
unsigned stop_first(unsigned number) {
  if (this_task::attempt() == 1) ::raise(SIGSTOP);
  return number;
}

TEST(pool_faults, a_stopped_worker_is_found_by_its_tasks_time_limit) {
  Pool pool{{.workers = 2, .time_limit = 300ms}};
  auto lost = pool.submit<stop_first>(1u);
  const auto result = lost.get(30s);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), ErrorKind::timed_out);
  EXPECT_THAT(result.error().sentence(), HasSubstr("no result within 300 ms"));
  auto again = pool.submit<stop_first>({.retries = Retries{.timeouts = 1}}, 2u);
  EXPECT_EQ(or_exit(again.get(30s)), 2u);
}

int stop_and_answer(int number) {
  ::raise(SIGSTOP);
  return number;
}

void until_stopped(pid_t pid) {
  const Waiting waiting{"a worker to stop"};
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WSTOPPED | WNOWAIT), 0);
}

TEST(pool_faults, what_a_stopped_worker_answers_late_is_refused) {
  Pool pool{{.workers = 1, .cancel_grace = 30s}};
  or_exit(pool.start(30s));
  const pid_t worker = pool.worker_pids().front();
  auto late = pool.submit<stop_and_answer>(1);
  until_stopped(worker);
  late.cancel();
  ::kill(worker, SIGCONT);
  // It goes on, answers what nobody wants any more, and is of use.
  EXPECT_EQ(or_exit(pool.submit<mixed>(std::uint64_t{2}).get(30s)), mixed(2));
  EXPECT_EQ(late.get(0s).error(), ErrorKind::cancelled);
  EXPECT_EQ(pool.statistics().answers_refused, 1u);
  EXPECT_EQ(pool.worker_pids().front(), worker);
}

TEST(pool_faults, stopped_and_continued_workers_answer_nothing_that_is_believed_twice) {
  const int rounds = soaked(is_sanitized() ? 5 : 20);
  Pool pool{{.workers = 3,
             .time_limit = 100ms,
             .retries = {.timeouts = 1000},
             .start_limit = 300ms,
             .crashes = {}}};
  int seen = 0;
  std::mt19937 random{7};
  for (auto& [number, result] : pool.map<mixed>(std::views::iota(0, rounds * 50))) {
    ASSERT_TRUE(result) << result.error();
    ASSERT_EQ(*result, mixed(static_cast<std::uint64_t>(number)));
    if (++seen % 50 != 0) continue;
    const auto pids = pool.worker_pids();
    if (pids.empty()) continue;
    ::kill(pids[random() % pids.size()], SIGSTOP);
    if (random() % 2 == 0) ::kill(pids[random() % pids.size()], SIGCONT);
  }
  EXPECT_EQ(seen, rounds * 50);
}

void sleep_some(int number) {
  // Not synchronisation: a task that takes some time.
  const timespec time{.tv_sec = 0, .tv_nsec = (number % 7) * 100'000};
  ::nanosleep(&time, nullptr);
}

std::size_t take_memory(std::size_t bytes) {
  std::vector<char> memory(bytes, 'x');
  return memory.size();
}

TEST(pool_faults, out_of_memory_is_tried_again_alone_with_twice_as_much) {
  if (is_sanitized()) GTEST_SKIP() << "memory limits mean little under a sanitizer";
  Pool pool{{.workers = 2, .memory_limit = 64 << 20, .crashes = {}}};
  auto fits = pool.submit<take_memory>(std::size_t{16} << 20);
  auto second = pool.submit<take_memory>(std::size_t{96} << 20);
  auto large = pool.submit<take_memory>(std::size_t{512} << 20);
  EXPECT_EQ(or_exit(fits.get(30s)), std::size_t{16} << 20);
  EXPECT_EQ(or_exit(second.get(30s)), std::size_t{96} << 20);
  const auto refused = large.get(30s);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().sentence(), "poisoned: out of memory twice");
  auto with_more =
      pool.submit<take_memory>({.memory_limit = std::uint64_t{1} << 30}, std::size_t{512} << 20);
  EXPECT_EQ(or_exit(with_more.get(30s)), std::size_t{512} << 20);
}

/// Runs out of memory once; the second time it says when it is at work.
std::size_t run_alone(const std::filesystem::path& here) {
  if (this_task::attempt() == 1) take_memory(std::size_t{512} << 20);
  std::ofstream{here} << "at work";
  sleep_some(6);
  const bool stayed = std::filesystem::remove(here);
  return stayed ? 1 : 0;
}
bool is_there(const std::filesystem::path& file) {
  sleep_some(1);
  return std::filesystem::exists(file);
}

TEST(pool_faults, what_ran_out_of_memory_runs_while_no_other_task_does) {
  if (is_sanitized()) GTEST_SKIP() << "memory limits mean little under a sanitizer";
  const auto here = temporary_folder() / "here";
  Pool pool{{.workers = 2, .memory_limit = 64 << 20, .crashes = {}}};
  for (int round = 0; round < 5; ++round) {
    auto alone = pool.submit<run_alone>(here);
    std::vector<Future<bool>> others;
    for (int i = 0; i < 100; ++i) others.push_back(pool.submit<is_there>(here));
    EXPECT_EQ(or_exit(alone.get(30s)), 1u);
    for (auto& other : others) EXPECT_FALSE(or_exit(other.get(30s)));
  }
}

/// Writes nonsense where its answer belongs: over every socket and memory it can reach is too much to
/// ask of a test, so it sends an answer of its own through the descriptors that it has.
int answer_garbage(int number) {
  for (int fd = 3; fd < 64; ++fd) {
    static_cast<void>(::write(fd, "garbage garbage garbage garbage!", 32));
  }
  return number;
}

TEST(pool_faults, a_task_that_writes_garbage_to_all_it_has_harms_no_other_task) {
  Pool pool{{.workers = 2, .time_limit = 5s, .sandbox = sandbox::compute_only, .crashes = {}}};
  auto bad = pool.submit<answer_garbage>(1);
  for (auto& [number, result] : pool.map<mixed>(std::views::iota(0, 200))) {
    ASSERT_TRUE(result) << result.error();
    ASSERT_EQ(*result, mixed(static_cast<std::uint64_t>(number)));
  }
  const auto result = bad.get(30s);
  EXPECT_TRUE(result || result.error() == ErrorKind::poisoned ||
              result.error() == ErrorKind::timed_out)
      << result.error();
}

void hang() {
  for (;;) ::pause();
}

void master(Bootstrap& boot) {
  Pool pool{{.workers = 3}};
  or_exit(pool.start(20s));
  std::vector<Future<void>> tasks;
  for (int i = 0; i < 3; ++i) tasks.push_back(pool.submit<hang>());
  while (pool.statistics().workers_started < 3) pool.wait(1ms);
  std::string pids;
  for (const pid_t pid : pool.worker_pids()) pids += std::to_string(pid) + " ";
  or_exit(boot.channel().send(as_bytes(pids), 10s));
  pool.wait(never);
}

TEST(pool_faults, no_worker_outlives_a_master_that_is_killed) {
  auto child = or_exit(spawn<master>());
  std::istringstream pids{message_of(child.channel())};
  or_exit(child.kill());
  int count = 0;
  for (pid_t pid = 0; pids >> pid; ++count) EXPECT_TRUE(goes(pid)) << pid;
  EXPECT_EQ(count, 3);
}

TEST(pool_faults, many_more_workers_than_cpus_do_their_work) {
  const unsigned workers = is_sanitized() ? 8 : 64;
  Pool pool{{.workers = workers}};
  std::uint64_t count = 0;
  for (auto& [number, result] : pool.map_unordered<mixed>(std::views::iota(0, 5'000))) {
    ASSERT_TRUE(result) << result.error();
    ++count;
  }
  EXPECT_EQ(count, 5'000u);
}

TEST(pool_faults, cancelling_at_any_moment_loses_nothing_else) {
  const int rounds = soaked(is_sanitized() ? 40 : 400);
  Pool pool{{.workers = 2, .cancel_grace = 0ms}};
  std::mt19937 random{1};
  std::vector<std::pair<int, Future<std::uint64_t>>> kept;
  std::vector<Future<void>> cancelled;
  for (int i = 0; i < rounds; ++i) {
    kept.emplace_back(i, pool.submit<mixed>(static_cast<std::uint64_t>(i)));
    cancelled.push_back(pool.submit<sleep_some>(i));
    for (unsigned looks = random() % 4; looks > 0; --looks)
      static_cast<void>(kept[0].second.ready());
    cancelled[random() % cancelled.size()].cancel();
  }
  for (auto& [number, future] : kept) {
    EXPECT_EQ(or_exit(future.get(30s)), mixed(static_cast<std::uint64_t>(number)));
  }
  for (auto& future : cancelled) {
    const auto result = future.get(30s);
    EXPECT_TRUE(result || result.error() == ErrorKind::cancelled) << result.error();
  }
  EXPECT_TRUE(pool.wait(30s));
}

}  // namespace

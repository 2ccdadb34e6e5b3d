// SPDX-License-Identifier: Apache-2.0
//
// pool-bench: what a Pool costs, beside what people use instead, in turn in one run:
// Python's multiprocessing.Pool and ProcessPoolExecutor, GNU parallel (skipped by name where they
// are not installed), plain threads, and a typed call for a task to a ready worker and back. Each
// subject once a round; what counts is the median over the rounds of the ratio within the round.
//
// And `bulkhead map` beside xargs and GNU parallel, each with 2,000 times `true`; what a task takes in
// its worker while others are killed and replaced; and how soon the workers of a master that is
// killed are gone.
//
// A task and a typed call are compared in slices of one run: one caller, which waits for each answer
// before the next, one other process, a channel over memory, no thread pinned.
//
//   bulkhead bench --pool [--quick]
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <poll.h>
#include <ranges>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <bulkhead/bulkhead.hpp>

namespace {

using namespace bulkhead;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr int pool_tasks = 100'000;
constexpr int python_tasks = 10'000;
constexpr int command_tasks = 2'000;
/// GNU parallel takes a quarter of a minute each.
constexpr int command_rounds = 3;
constexpr int lone_slices = 20;
constexpr int lone_tasks = 250;  // a slice
constexpr int long_tasks = 300;
constexpr double left_out = -2;

int empty(int number) { return number; }
int one_millisecond(int number) {
  const auto begin = Clock::now();
  while (Clock::now() - begin < 1ms) {
  }
  return number;
}
/// So much work as a millisecond is about long enough for, and how long it took.
std::int64_t nanoseconds_of_work(int number) {
  const auto begin = Clock::now();
  auto mixed = static_cast<std::uint64_t>(number);
  for (int i = 0; i < 700'000; ++i) {
    mixed = mixed * 6364136223846793005u + 1;
    asm volatile("" : "+r"(mixed));  // no compiler may leave it out or move it
  }
  return (Clock::now() - begin).count();
}
std::uint64_t first_and_last(const Region& region) {
  return std::to_integer<std::uint64_t>(region.bytes().front()) +
         std::to_integer<std::uint64_t>(region.bytes().back());
}

struct Echo {
  Result<int> echo(int number);
};
BULKHEAD_INTERFACE(Echo, echo)
struct Echoing {
  Result<int> echo(int number) { return number; }
};
void echoing(Bootstrap& boot) { static_cast<void>(boot.serve<Echo>(Echoing{})); }

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values.empty() ? -1 : values[values.size() / 2];
}

/// Seconds for one operation; below zero: the subject is not there.
double timed(int operations, const std::function<void()>& work) {
  const auto begin = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - begin).count() / operations;
}

double command(const std::string& line, int operations) {
  FILE* pipe = ::popen((line + " 2>/dev/null").c_str(), "r");
  double seconds = -1;
  if (pipe == nullptr || std::fscanf(pipe, "%lf", &seconds) != 1) seconds = -1;
  if (pipe != nullptr) ::pclose(pipe);
  return seconds < 0 ? -1 : seconds / operations;
}

double python(const std::filesystem::path& peers, const char* which) {
  const auto script = (peers / "pool.py").string();
  return command("python3 " + script + " " + which + " " + std::to_string(python_tasks),
                 python_tasks);
}

/// So many inputs given to a command of the shell's that runs `true` for each.
double for_each_input(const std::string& program, const std::string& line) {
  if (std::system(("command -v " + program + " >/dev/null 2>&1").c_str()) != 0) return -1;
  const std::string all = "seq " + std::to_string(command_tasks) + " | " + line + " >/dev/null";
  int status = 0;
  const double each = timed(command_tasks, [&] { status = std::system(all.c_str()); });
  return status == 0 ? each : -1;
}

template <auto Function> double mapped(Pool& pool, int tasks) {
  return timed(tasks, [&] {
    for (auto& [number, result] : pool.map<Function>(std::views::iota(0, tasks))) {
      static_cast<void>(or_exit(result));
    }
  });
}

double threads(int tasks) {
  return timed(tasks, [&] {
    std::atomic<int> next{0};
    std::vector<int> results(static_cast<std::size_t>(tasks));
    const auto work = [&] {
      for (int i = next++; i < tasks; i = next++) results[static_cast<std::size_t>(i)] = empty(i);
    };
    std::jthread other{work};
    work();
  });
}

struct Row {
  const char* what;
  const char* per;  ///< the floor that it is a ratio to
  std::vector<double> seconds{};
};

void print(const Row& row, const std::vector<Row>& all) {
  if (median(row.seconds) < 0) {
    std::cout << "| " << row.what << " | left out | |\n";
    return;
  }
  std::cout << "| " << row.what << " | " << median(row.seconds) * 1e6 << " us | ";
  for (const Row& floor : all) {
    if (std::string_view{floor.what} != row.per) continue;
    std::vector<double> ratios;
    for (std::size_t i = 0; i < row.seconds.size(); ++i) {
      ratios.push_back(row.seconds[i] / floor.seconds[i]);
    }
    std::cout << median(ratios) << " x " << row.per;
  }
  std::cout << " |\n";
}

void hang() {
  for (;;) ::pause();
}

void master_of_two(Bootstrap& boot) {
  Pool pool{{.workers = 2}};
  or_exit(pool.start());
  std::vector<Future<void>> tasks;
  for (int i = 0; i < 2; ++i) tasks.push_back(pool.submit<hang>());
  while (pool.worker_pids().size() < 2) pool.wait(1ms);
  std::string pids;
  for (const pid_t pid : pool.worker_pids()) pids += std::to_string(pid) + " ";
  or_exit(boot.channel().send(std::as_bytes(std::span{pids}), 10s));
  pool.wait(never);
}

/// From the kill of a master until the last of its workers is gone.
double orphans_live() {
  Process master = or_exit(spawn<master_of_two>());
  std::istringstream pids{std::string{or_exit(master.channel().receive(20s)).text()}};
  std::vector<pollfd> workers;
  std::vector<Fd> owned;
  for (pid_t pid = 0; pids >> pid;) {
    owned.push_back(Fd::adopt(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))));
    workers.push_back({.fd = owned.back().native(), .events = POLLIN, .revents = 0});
  }
  return timed(1, [&] {
    or_exit(master.kill());
    for (pollfd& worker : workers) {
      if (::poll(&worker, 1, 10'000) == 1) continue;
      std::cerr << "a worker outlived its master\n";
      std::exit(1);
    }
  });
}

/// Both alternate, so that the host's moving cores about meets both.
std::pair<double, double> calls_and_tasks(Remote<Echo>& remote, Pool& pool) {
  double calls = 0;
  double tasks = 0;
  for (int slice = 0; slice < lone_slices; ++slice) {
    calls += timed(lone_tasks * lone_slices, [&] {
      for (int i = 0; i < lone_tasks; ++i) or_exit(remote.echo(i));
    });
    tasks += timed(lone_tasks * lone_slices, [&] {
      for (int i = 0; i < lone_tasks; ++i) or_exit(pool.submit<empty>(i).get());
    });
  }
  return {calls, tasks};
}

/// The median of what tasks took in their workers; a worker is killed and replaced every so many.
double median_of_work(Pool& pool, int between_deaths) {
  std::vector<double> took;
  for (auto& [number, result] : pool.map<nanoseconds_of_work>(std::views::iota(0, long_tasks))) {
    took.push_back(static_cast<double>(or_exit(result)) / 1e9);
    if (between_deaths == 0 || took.size() % static_cast<std::size_t>(between_deaths) != 0)
      continue;
    const auto pids = pool.worker_pids();
    if (!pids.empty()) ::kill(pids.front(), SIGKILL);
  }
  return median(std::move(took));
}

/// The time that is lost to the others while a worker is killed and replaced.
double with_a_death(Pool& pool) {
  return timed(long_tasks, [&] {
    int count = 0;
    for (auto& [number, result] : pool.map<one_millisecond>(std::views::iota(0, long_tasks))) {
      static_cast<void>(or_exit(result));
      if (++count % 100 == 0) ::kill(pool.worker_pids().front(), SIGKILL);
    }
  });
}

}  // namespace

int main(int argc, char** argv) {
  init(argc, argv);
  const bool quick = argc > 1 && std::string_view{argv[1]} == "--quick";
  const int rounds = quick ? 3 : 15;
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const auto peers = here / "../../bench/peers";  // of a build inside the source tree
  const std::string map = (here / "bulkhead").string();
  Pool two{{.workers = 2}};
  Pool one{{.workers = 1}};
  or_exit(two.start());
  or_exit(one.start());
  Process child = or_exit(spawn<echoing>());
  Remote<Echo> remote{child.channel()};
  auto region = or_exit(Region::create(std::size_t{1} << 30));
  or_exit(region.freeze());

  std::vector<Row> rows{{"empty task, Pool of 2", ""},
                        {"empty task, multiprocessing.Pool(2)", "empty task, Pool of 2"},
                        {"empty task, ProcessPoolExecutor(2)", "empty task, Pool of 2"},
                        {"empty task, 2 threads and a counter", "empty task, Pool of 2"},
                        {"typed call", ""},
                        {"task to a ready worker and back", "typed call"},
                        {"1 ms task, Pool of 2", ""},
                        {"1 ms task, Pool of 1", "1 ms task, Pool of 2"},
                        {"1 ms task, Pool of 2, a death every 100", "1 ms task, Pool of 2"},
                        {"fixed work in its worker", ""},
                        {"fixed work, others die every 20", "fixed work in its worker"},
                        {"1 GiB Region in, a sum out", "task to a ready worker and back"},
                        {"`true`, bulkhead map -j2", ""},
                        {"`true`, xargs -P2 -n1", "`true`, bulkhead map -j2"},
                        {"`true`, GNU parallel -j2", "`true`, bulkhead map -j2"},
                        {"workers of a killed master gone after", ""}};
  for (int round = 0; round < rounds; ++round) {
    const auto [call, task] = calls_and_tasks(remote, one);
    // Python's pools are there before they are timed; so is this one, whose workers the last round killed.
    mapped<one_millisecond>(two, long_tasks);
    const bool with_commands = round < command_rounds;
    const auto times = [&](const char* program, const std::string& line) {
      return with_commands ? for_each_input(program, line) : left_out;
    };
    const std::vector<double> seconds{
        mapped<empty>(two, pool_tasks),
        python(peers, "pool"),
        python(peers, "executor"),
        threads(pool_tasks),
        call,
        task,
        mapped<one_millisecond>(two, long_tasks),
        mapped<one_millisecond>(one, long_tasks),
        with_a_death(two),
        median_of_work(two, 0),
        median_of_work(two, 20),
        timed(1, [&] { or_exit(one.submit<first_and_last>(or_exit(region.duplicate())).get()); }),
        times(map.c_str(), map + " map -j2 true"),
        times("xargs", "xargs -P2 -n1 true"),
        times("parallel", "parallel -j2 true"),
        orphans_live()};
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (seconds[i] != left_out) rows[i].seconds.push_back(seconds[i]);
    }
  }
  std::cout << "| what | time each, median | ratio, median over " << rounds << " rounds |\n"
            << "| --- | --- | --- |\n";
  for (const Row& row : rows) print(row, rows);
}

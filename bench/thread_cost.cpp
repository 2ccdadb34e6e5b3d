// SPDX-License-Identifier: Apache-2.0
#include "bench/thread_cost.hpp"

#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <latch>
#include <mutex>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <vector>

#include "bench/apart.hpp"
#include "bench/placement.hpp"

namespace bulkhead::bench {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t many = 128;
constexpr auto slice = 40ms;

double seconds_since(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

/// The sum of these lines of a file of the kernel's, in bytes; it writes them in kB.
double sum_of(const std::string& path, std::initializer_list<std::string> names) {
  std::ifstream file{path};
  double sum = 0;
  for (std::string line; std::getline(file, line);) {
    for (const std::string& name : names) {
      if (line.starts_with(name + ":")) sum += std::stod(line.substr(name.size() + 1)) * 1024;
    }
  }
  return sum;
}

double user_memory(const std::string& process) {
  return sum_of("/proc/" + process + "/smaps_rollup", {"Private_Clean", "Private_Dirty"});
}

/// Of the whole machine: the kernel keeps no books by thread. Others change it meanwhile, hence many.
double kernel_memory() {
  return sum_of("/proc/meminfo", {"KernelStack", "PageTables", "SUnreclaim"});
}

void measure_threads(std::span<double> into) {
  const double user = user_memory("self");
  const double kernel = kernel_memory();
  std::latch all_there{many + 1};
  std::latch go{1};
  std::vector<std::jthread> threads;
  threads.reserve(many);
  for (std::size_t i = 0; i < many; ++i) {
    threads.emplace_back([&] {
      all_there.count_down();
      go.wait();
    });
  }
  all_there.arrive_and_wait();
  into[0] = (user_memory("self") - user) / many;
  into[1] = (kernel_memory() - kernel) / many;
  go.count_down();
}

void measure_processes(std::span<double> into) {
  const double kernel = kernel_memory();
  std::array<int, 2> hold{};
  std::array<int, 2> there{};
  if (::pipe(hold.data()) != 0 || ::pipe(there.data()) != 0) throw std::runtime_error{"pipe"};
  std::vector<pid_t> children;
  for (std::size_t i = 0; i < many; ++i) {
    const pid_t child = ::fork();
    if (child < 0) break;
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::close(hold[1]);
      char byte = 0;
      static_cast<void>(::write(there[1], &byte, 1) == 1);
      static_cast<void>(::read(hold[0], &byte, 1) == 0);  // until the parent closes
      ::_exit(0);
    }
    children.push_back(child);
  }
  char byte = 0;
  for (std::size_t i = 0; i < children.size(); ++i) {
    if (::read(there[0], &byte, 1) != 1) throw std::runtime_error{"read"};
  }
  double user = 0;
  for (const pid_t child : children) user += user_memory(std::to_string(child));
  const auto count = static_cast<double>(children.size());
  into[0] = user / count;
  into[1] = (kernel_memory() - kernel) / count;
  ::close(hold[1]);
  for (const pid_t child : children) ::waitpid(child, nullptr, 0);
  if (children.size() < many) throw std::runtime_error{"fork"};
}

struct alignas(128) Counter {
  std::atomic<std::uint64_t> shared{0};
  volatile std::uint64_t value = 0;  // each raise is one, not 64 at once
};

/// A thread's raises until told to stop.
std::uint64_t raise(Sharing sharing, Counter& own, Counter& shared, std::mutex& mutex,
                    const std::atomic<bool>& stop) {
  std::uint64_t done = 0;
  while (!stop) {
    for (int i = 0; i < 64; ++i, ++done) {
      if (sharing == Sharing::atomic) {
        ++shared.shared;
        continue;
      }
      Counter& counter = sharing == Sharing::mutex ? shared : own;
      std::unique_lock guard{mutex, std::defer_lock};
      if (sharing == Sharing::mutex) guard.lock();
      counter.value = counter.value + 1;
    }
  }
  return done;
}

void measure_raises(Sharing sharing, unsigned threads, std::span<double> into) {
  std::vector<Counter> own(threads);
  Counter shared;
  std::mutex mutex;
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> all{0};
  std::barrier begin{static_cast<std::ptrdiff_t>(threads) + 1};
  std::vector<std::jthread> running;
  for (unsigned i = 0; i < threads; ++i) {
    running.emplace_back([&, i] {
      begin.arrive_and_wait();
      all += raise(sharing, own[i], shared, mutex, stop);
    });
  }
  begin.arrive_and_wait();
  const auto begun = Clock::now();
  std::this_thread::sleep_for(slice);
  stop = true;
  const double seconds = seconds_since(begun);
  running.clear();
  into[0] = static_cast<double>(all) / seconds;
}

/// About a tenth of a millisecond of computing on 32 KiB, which a core's first cache holds.
std::uint64_t unit_of_work(std::vector<std::uint64_t>& data, std::uint64_t seed) {
  for (int pass = 0; pass < 12; ++pass) {
    for (std::uint64_t& word : data) {
      seed = (seed ^ word) * 0x100000001b3;
      word = seed;
    }
  }
  return seed;
}

double switches() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_nvcsw + usage.ru_nivcsw);
}

void measure_crowd(unsigned threads, std::span<double> into) {
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> units{0};
  std::atomic<std::uint64_t> result{0};
  std::barrier begin{static_cast<std::ptrdiff_t>(threads) + 1};
  std::vector<std::jthread> running;
  for (unsigned i = 0; i < threads; ++i) {
    running.emplace_back([&, i] {
      std::vector<std::uint64_t> data(4096, i);
      std::uint64_t own = i;
      begin.arrive_and_wait();
      while (!stop) {
        own = unit_of_work(data, own);
        ++units;
      }
      result += own;  // so that the work is not for nothing
    });
  }
  begin.arrive_and_wait();
  const auto begun = Clock::now();
  const double switched = switches();
  const std::uint64_t done = units;
  std::this_thread::sleep_for(4 * slice);
  const double seconds = seconds_since(begun);
  into[0] = static_cast<double>(units - done) / seconds;
  into[1] = (switches() - switched) / seconds;
  stop = true;
}

}  // namespace

MemoryOfEach memory_of_thread() {
  const auto figures = apart(2, measure_threads);
  return {figures[0], figures[1]};
}

MemoryOfEach memory_of_process() {
  const auto figures = apart(2, measure_processes);
  return {figures[0], figures[1]};
}

double raises_per_second(Sharing sharing, unsigned threads) {
  return apart(1, [&](std::span<double> into) { measure_raises(sharing, threads, into); })[0];
}

Crowded crowded(unsigned threads_per_cpu) {
  const unsigned threads = threads_per_cpu * static_cast<unsigned>(usable_cpus());
  const auto figures = apart(2, [&](std::span<double> into) { measure_crowd(threads, into); });
  return {figures[0], figures[1]};
}

}  // namespace bulkhead::bench

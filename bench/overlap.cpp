// SPDX-License-Identifier: Apache-2.0
//
// Needs bulkhead::init in main.
#include "bench/overlap.hpp"

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/thread_pool.hpp>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <fcntl.h>
#include <fstream>
#include <linux/magic.h>
#include <span>
#include <stdexcept>
#include <sys/vfs.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <bulkhead/pool.hpp>

#include "bench/apart.hpp"
#include "bench/placement.hpp"

namespace bulkhead::bench {

namespace {

using Clock = std::chrono::steady_clock;

std::vector<std::uint64_t> contents_of(const std::filesystem::path& path) {
  std::vector<std::uint64_t> words(std::filesystem::file_size(path) / sizeof(std::uint64_t));
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  std::size_t done = 0;
  for (const std::size_t size = words.size() * sizeof words[0]; file >= 0 && done < size;) {
    const auto some = ::read(file, reinterpret_cast<char*>(words.data()) + done, size - done);
    if (some <= 0) break;
    done += static_cast<std::size_t>(some);
  }
  if (file >= 0) ::close(file);
  if (done != words.size() * sizeof words[0]) throw std::runtime_error{"read " + path.string()};
  return words;
}

/// Some computing for each byte, about as much as a good compression of text takes to undo.
std::uint64_t hash_of(std::span<const std::uint64_t> words) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::uint64_t word : words) {
    for (int round = 0; round < 4; ++round) hash = (hash ^ (word >> (16 * round))) * 0x100000001b3;
  }
  return hash;
}

std::uint64_t hash_file(const std::string& path) { return hash_of(contents_of(path)); }

double cpu_seconds(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

using Paths = std::vector<std::string>;

std::uint64_t by_one_thread(const Paths& paths) {
  std::uint64_t sum = 0;
  for (const std::string& path : paths) sum += hash_file(path);
  return sum;
}

std::uint64_t by_threads(const Paths& paths) {
  std::atomic<std::size_t> next{0};
  std::atomic<std::uint64_t> sum{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2 * usable_cpus(); ++i) {
    threads.emplace_back([&] {
      for (std::size_t at = next++; at < paths.size(); at = next++) sum += hash_file(paths[at]);
    });
  }
  threads.clear();
  return sum;
}

/// Two read ahead; one, with the event loop, computes.
std::uint64_t by_asio(const Paths& paths) {
  asio::io_context loop;
  asio::thread_pool readers{2};
  std::uint64_t sum = 0;
  auto work = asio::make_work_guard(loop);
  std::size_t left = paths.size();
  std::size_t next = 0;
  std::function<void()> read_next = [&] {
    if (next == paths.size()) return;
    asio::post(readers, [&, at = next++] {
      auto words = contents_of(paths[at]);
      asio::post(loop, [&, words = std::move(words)] {
        read_next();
        sum += hash_of(words);
        if (--left == 0) work.reset();
      });
    });
  };
  for (int ahead = 0; ahead < 4; ++ahead) read_next();
  loop.run();
  readers.join();
  return sum;
}

/// CPU time of the workers, while they are there.
double cpu_of(const Pool& pool) {
  double seconds = 0;
  for (const pid_t worker : pool.worker_pids()) {
    clockid_t clock = 0;
    if (::clock_getcpuclockid(worker, &clock) == 0) seconds += cpu_seconds(clock);
  }
  return seconds;
}

std::uint64_t by_processes(Pool& pool, const Paths& paths) {
  std::uint64_t sum = 0;
  for (auto& [path, hash] : pool.map_unordered<hash_file>(paths)) sum += or_throw(std::move(hash));
  return sum;
}

void measure(Readers readers, const Paths& paths, std::span<double> into) {
  Pool pool{{.workers = 2 * static_cast<unsigned>(usable_cpus())}};
  if (readers == Readers::processes) or_throw(pool.start());
  const double used = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) + cpu_of(pool);
  const auto begun = Clock::now();
  std::uint64_t sum = 0;
  switch (readers) {
    case Readers::one_thread:
      sum = by_one_thread(paths);
      break;
    case Readers::threads:
      sum = by_threads(paths);
      break;
    case Readers::asio:
      sum = by_asio(paths);
      break;
    case Readers::processes:
      sum = by_processes(pool, paths);
      break;
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  const double now_used = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) + cpu_of(pool);
  into[0] = seconds;
  into[1] = (now_used - used) / seconds / usable_cpus();
  if (sum != by_one_thread(paths)) throw std::runtime_error{"another hash"};
}

/// Out of the kernel's cache.
void forget(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  ::fdatasync(file);
  ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  ::close(file);
}

}  // namespace

std::string_view name_of(Readers readers) {
  switch (readers) {
    case Readers::one_thread:
      return "one thread";
    case Readers::threads:
      return "threads";
    case Readers::asio:
      return "asio";
    case Readers::processes:
      return "processes";
  }
  return "";
}

Files::Files(std::size_t count, std::size_t bytes) : count_(count), bytes_(bytes) {
  std::string folder = (std::filesystem::temp_directory_path() / "bulkhead-bench-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) throw std::runtime_error{"no folder for files"};
  folder_ = folder;
  std::vector<std::uint64_t> words(bytes / sizeof(std::uint64_t));
  std::uint64_t seed = 88172645463325252;
  for (std::size_t i = 0; i < count; ++i) {
    for (std::uint64_t& word : words) {
      seed ^= seed << 13;
      seed ^= seed >> 7;
      seed ^= seed << 17;
      word = seed;
    }
    std::ofstream file{folder_ / std::to_string(i), std::ios::binary};
    file.write(reinterpret_cast<const char*>(words.data()), static_cast<std::streamsize>(bytes));
    if (!file.flush()) throw std::runtime_error{"write files of " + std::to_string(bytes)};
  }
}

Files::~Files() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

Read Files::read_by(Readers readers) {
  Paths paths;
  for (std::size_t i = 0; i < count_; ++i) paths.push_back((folder_ / std::to_string(i)).string());
  for (const std::string& path : paths) forget(path);
  const auto figures = apart(2, [&](std::span<double> into) { measure(readers, paths, into); });
  return {static_cast<double>(count_ * bytes_) / figures[0], figures[1]};
}

bool Files::on_disk() const {
  struct statfs found{};
  return ::statfs(folder_.c_str(), &found) == 0 && found.f_type != TMPFS_MAGIC;
}

}  // namespace bulkhead::bench

// SPDX-License-Identifier: Apache-2.0
#include "bench/floors.hpp"

#include <cerrno>
#include <cstring>
#include <new>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>

#include "bench/payload.hpp"
#include "bench/shared_memory.hpp"
#include "bench/waiting.hpp"

namespace bulkhead::bench {

namespace {

/// Two counters, each raised by one side: the least that two sides can do to know of each other.
template <class Waiting> class PingPong : public Variant {
 public:
  void create() override {
    memory_ = SharedMemory{sizeof(Counters)};
    counters_ = new (memory_.as<void>()) Counters;
    asked_ = answered_ = 0;
  }
  void client(std::uint64_t count) override {
    std::uint64_t round = asked_;
    for (const std::uint64_t end = round + count; round < end; ++round) {
      Waiting::raise(counters_->there, round + 1);
      Waiting::await(counters_->back, round);
    }
    asked_ = round;
  }
  void server(std::uint64_t count) override {
    std::uint64_t round = answered_;
    for (const std::uint64_t end = round + count; round < end; ++round) {
      Waiting::await(counters_->there, round);
      Waiting::raise(counters_->back, round + 1);
    }
    answered_ = round;
  }

 private:
  struct Counters {
    Counter there, back;
  };
  SharedMemory memory_;
  Counters* counters_ = nullptr;
  alignas(128) std::uint64_t asked_ = 0;
  alignas(128) std::uint64_t answered_ = 0;
};

/// A floor of one process: the other side has nothing to do.
template <class Work> class Alone : public Variant {
 public:
  explicit Alone(Work work) : work_{std::move(work)} {}
  void client(std::uint64_t count) override {
    for (std::uint64_t i = 0; i < count; ++i) work_(i);
  }
  void server(std::uint64_t) override {}

 private:
  Work work_;
};

template <class Work> std::unique_ptr<Variant> alone(Work work) {
  return std::make_unique<Alone<Work>>(std::move(work));
}

[[noreturn]] void fail(const char* what) {
  throw std::system_error{errno, std::generic_category(), what};
}

void reap(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) fail("waitpid");
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    errno = ECHILD;
    fail("a started process did not end well");
  }
}

}  // namespace

std::unique_ptr<Variant> cache_line(Placement placement) {
  if (placement == Placement::one_core) return std::make_unique<PingPong<Yield>>();
  return std::make_unique<PingPong<Spin>>();
}

std::unique_ptr<Variant> cache_line_with_pauses() {
  return std::make_unique<PingPong<SpinGently>>();
}

std::unique_ptr<Variant> futex_ping_pong(Placement placement) {
  if (placement == Placement::one_core) return std::make_unique<PingPong<Sleep>>();
  return std::make_unique<PingPong<SleepApart>>();
}

std::unique_ptr<Variant> memory_copy(std::size_t bytes) {
  return alone([from = Buffer{bytes}, to = Buffer{bytes}](std::uint64_t number) mutable {
    std::memcpy(to.data(), from.message(number), from.size());
    touched(to.data());
  });
}

std::unique_ptr<Variant> system_call() {
  return alone([](std::uint64_t) { ::syscall(SYS_getppid); });
}

std::unique_ptr<Variant> thread_start() {
  return alone([](std::uint64_t) { std::thread{[] {}}.join(); });
}

std::unique_ptr<Variant> fork_start() {
  return alone([](std::uint64_t) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    if (child < 0) fail("fork");
    reap(child);
  });
}

std::unique_ptr<Variant> exec_start() {
  return alone([](std::uint64_t) {
    const char* const arguments[] = {"bulkhead", leave_at_once, nullptr};
    // vfork: the child borrows this memory until it has become another program, and does nothing
    // else here.
    const pid_t child = ::vfork();
    if (child == 0) {
      ::execv("/proc/self/exe", const_cast<char* const*>(arguments));
      ::_exit(127);
    }
    if (child < 0) fail("vfork");
    reap(child);
  });
}

}  // namespace bulkhead::bench

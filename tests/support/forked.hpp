// SPDX-License-Identifier: Apache-2.0
//
// A process that does one thing on memory that it shares with the test, and may be killed in it.
// Forked, so it has the test's mappings; it dies with its Forked at the latest.
#pragma once

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <type_traits>
#include <unistd.h>
#include <utility>

namespace bulkhead::test {

class Forked {
 public:
  /// Runs `body` in a child, which exits with what it returns, or with 0.
  template <class Body> explicit Forked(Body body) : pid_(::fork()) {
    if (pid_ < 0) give_up("fork");
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::alarm(limit_in_seconds());  // the watchdog is the parent's alone
    if constexpr (std::is_void_v<decltype(body())>) {
      body();
      ::_exit(0);
    } else {
      ::_exit(static_cast<int>(body()));
    }
  }
  Forked(Forked&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Forked& operator=(Forked&&) = delete;
  ~Forked() {
    if (pid_ > 0) kill();
  }

  pid_t pid() const { return pid_; }

  /// Its exit code, or 128 and the signal that ended it.
  int wait() {
    if (pid_ <= 0) give_up("wait twice");
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  /// And gone, when this returns.
  int kill() {
    if (pid_ <= 0) give_up("kill what has gone");  // kill(2) of -1 is everybody
    ::kill(pid_, SIGKILL);
    return wait();
  }

  /// Not reaped yet.
  bool has_ended() const { return state() == 'Z'; }

  /// Until it sleeps in a system call that waits on a word, or has ended.
  void until_asleep() const {
    while (!is_asleep()) std::this_thread::yield();
  }

 private:
  [[noreturn]] static void give_up(const char* what) {
    std::perror(what);
    std::abort();
  }
  /// Beyond the test's own.
  static unsigned limit_in_seconds() {
    const char* const given = std::getenv("BULKHEAD_TEST_LIMIT_S");
    const int limit = given != nullptr ? std::atoi(given) : 0;
    return limit > 300 ? static_cast<unsigned>(limit) : 300;
  }
  bool is_asleep() const {
    const char now = state();
    if (now == 'Z') return true;
    const std::string call = read("syscall");
    const auto is = [&call](long number) { return call.starts_with(std::to_string(number) + " "); };
    // Empty: where nobody may look so closely.
    return now == 'S' &&
           (call.empty() || is(SYS_futex) || is(SYS_futex_waitv) || is(SYS_semtimedop));
  }
  char state() const {
    const std::string stat = read("stat");
    const auto after = stat.rfind(')');
    return after == std::string::npos ? 'Z' : stat[after + 2];
  }
  std::string read(const char* what) const {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/%s", pid_, what);
    const int file = ::open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return {};
    char text[512];
    const ssize_t size = ::read(file, text, sizeof text);
    ::close(file);
    return {text, size > 0 ? static_cast<std::size_t>(size) : 0};
  }

  pid_t pid_;
};

}  // namespace bulkhead::test

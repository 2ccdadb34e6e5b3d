// SPDX-License-Identifier: Apache-2.0
#include "support/watchdog.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BULKHEAD_TEST_SLOW 5
#else
#define BULKHEAD_TEST_SLOW 1
#endif

namespace bulkhead::test {
namespace {

struct Slot {
  std::atomic<bool> taken{false};
  std::array<char, 120> text{};
};

// Plain storage: the signal handler reads it in whatever state the program hangs.
std::array<Slot, 64> slots;
std::array<char, 200> test_name{};
std::atomic<int> stacks_told{0};
timer_t timer{};

const int expired_signal = SIGRTMAX - 2;
const int stack_signal = SIGRTMAX - 3;

void copy_text(std::string_view from, char* to, std::size_t size) {
  std::size_t length = std::min(from.size(), size - 1);
  std::memcpy(to, from.data(), length);
  to[length] = '\0';
}

void print(std::string_view text) {
  while (!text.empty()) {
    ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void print_number(long number) {
  std::array<char, 24> text{};
  auto end = std::to_chars(text.begin(), text.end(), number).ptr;
  print({text.data(), static_cast<std::size_t>(end - text.data())});
}

/// One line of a file in /proc/self/task/<tid>/.
void print_file(std::string_view label, long tid, std::string_view file) {
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/self/task/%ld/%s", tid, file.data());
  std::array<char, 160> text{};
  int fd = open(path.data(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  ssize_t size = read(fd, text.data(), text.size());
  close(fd);
  if (size <= 0) return;
  std::string_view line{text.data(), static_cast<std::size_t>(size)};
  print(label);
  print(line.substr(0, line.find('\n')));
}

void tell_own_stack(int) {
  std::array<void*, 48> frames{};
  int count = backtrace(frames.data(), static_cast<int>(frames.size()));
  backtrace_symbols_fd(frames.data(), count, STDERR_FILENO);
  ++stacks_told;
}

void tell_thread(long tid) {
  print("  thread ");
  print_number(tid);
  print_file(" ", tid, "comm");
  print_file(", waits in ", tid, "wchan");
  print_file(", system call ", tid, "syscall");
  print("\n");
  int told = stacks_told;
  if (syscall(SYS_tgkill, getpid(), tid, stack_signal) != 0) return;
  timespec step{0, 5'000'000};
  for (int tries = 0; stacks_told == told && tries < 200; ++tries) nanosleep(&step, nullptr);
}

void tell_threads() {
  int fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  // dirent64 is laid out as the kernel writes it.
  alignas(dirent64) std::array<char, 4096> buffer{};
  long filled = syscall(SYS_getdents64, fd, buffer.data(), buffer.size());
  for (long at = 0; at < filled;) {
    auto* entry = reinterpret_cast<dirent64*>(buffer.data() + at);
    if (entry->d_name[0] != '.') tell_thread(std::atol(entry->d_name));
    at += entry->d_reclen;
  }
  close(fd);
}

void expired(int) {
  alarm(20);  // should the telling hang as well
  print("\nWATCHDOG: ");
  print(test_name.data());
  print(" has used up its time\n");
  for (const auto& slot : slots) {
    if (!slot.taken) continue;
    print("  waiting for: ");
    print(slot.text.data());
    print("\n");
  }
  tell_threads();
  abort();
}

void arm(time_t seconds) {
  itimerspec time{};
  time.it_value.tv_sec = seconds;
  timer_settime(timer, 0, &time, nullptr);
}

time_t limit_seconds() {
  const char* given = getenv("BULKHEAD_TEST_LIMIT_S");
  if (given && std::atoi(given) > 0) return std::atoi(given);
  return 60 * BULKHEAD_TEST_SLOW;
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action{};
  action.sa_handler = handler;
  // Without SA_RESTART: ThreadSanitizer runs handlers only when the system call has returned.
  sigaction(signal, &action, nullptr);
}

}  // namespace

Waiting::Waiting(std::string_view what) : slot_(-1) {
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].taken.exchange(true)) continue;
    copy_text(what, slots[i].text.data(), slots[i].text.size());
    slot_ = static_cast<int>(i);
    return;
  }
}

Waiting::~Waiting() {
  if (slot_ >= 0) slots[static_cast<std::size_t>(slot_)].taken = false;
}

void install_watchdog() {
  std::array<void*, 2> frames{};
  backtrace(frames.data(), 2);  // loads the unwinder now and not in the signal handler
  handle(expired_signal, expired);
  handle(stack_signal, tell_own_stack);
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = expired_signal;
  timer_create(CLOCK_MONOTONIC, &event, &timer);
}

void watch(std::string_view name) {
  copy_text(name, test_name.data(), test_name.size());
  arm(limit_seconds());
}

void unwatch() { arm(0); }

}  // namespace bulkhead::test

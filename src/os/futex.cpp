// SPDX-License-Identifier: Apache-2.0
#include "os/futex.hpp"

#include <array>
#include <cerrno>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bulkhead::os {
namespace {

timespec point_of(Deadline deadline) noexcept {
  const auto since = deadline.at().time_since_epoch();
  if (since.count() <= 0) return {};
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since);
  return {.tv_sec = seconds.count(), .tv_nsec = static_cast<long>((since - seconds).count())};
}

/// FUTEX_WAKE_OP changes one word and wakes the sleepers of two; here all three are the same word, and
/// whether the second wake comes to pass (its condition: the word was 0) makes no difference.
void operate_and_wake_all(FutexWord& word, unsigned operation, int argument) noexcept {
  const unsigned encoded = operation << 28 | unsigned{FUTEX_OP_CMP_EQ} << 24 |
                           (static_cast<unsigned>(argument) & 0xfff) << 12;
  ::syscall(SYS_futex, &word, FUTEX_WAKE_OP, INT32_MAX, 0L, &word, encoded);
}

}  // namespace

bool futex_wait(const FutexWord& word, std::uint32_t seen, Deadline deadline) noexcept {
  if (deadline.expired()) return false;  // without the short sleep that the kernel makes of it
  const timespec until = point_of(deadline);
  const long outcome =
      ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, seen, deadline.is_never() ? nullptr : &until,
                nullptr, FUTEX_BITSET_MATCH_ANY);
  return outcome == 0 || errno != ETIMEDOUT;
}

void futex_wake_all(const FutexWord& word) noexcept {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
}

void futex_add_and_wake_all(FutexWord& word, int summand) noexcept {
  operate_and_wake_all(word, FUTEX_OP_ADD, summand);
}

void futex_set_and_wake_all(FutexWord& word, int value) noexcept {
  operate_and_wake_all(word, FUTEX_OP_SET, value);
}

void futex_clear_and_wake_all(FutexWord& word, unsigned bit) noexcept {
  operate_and_wake_all(word, FUTEX_OP_ANDN | FUTEX_OP_OPARG_SHIFT, static_cast<int>(bit));
}

std::optional<bool> futex_wait_any(std::span<const FutexSeen> words, Deadline deadline) noexcept {
  if (deadline.expired()) return false;
  std::array<futex_waitv, FUTEX_WAITV_MAX> waiters{};
  for (std::size_t i = 0; i < words.size(); ++i) {
    waiters[i].val = words[i].seen;
    waiters[i].uaddr = reinterpret_cast<std::uintptr_t>(words[i].word);
    waiters[i].flags = FUTEX_32;
  }
  const timespec until = point_of(deadline);
  const long outcome = ::syscall(SYS_futex_waitv, waiters.data(), words.size(), 0,
                                 deadline.is_never() ? nullptr : &until, CLOCK_MONOTONIC);
  if (outcome >= 0) return true;
  if (errno == ENOSYS || errno == EPERM) return std::nullopt;
  return errno != ETIMEDOUT;
}

}  // namespace bulkhead::os

// SPDX-License-Identifier: Apache-2.0
#include "os/pi_futex.hpp"

#include <cerrno>
#include <ctime>
#include <sys/syscall.h>
#include <unistd.h>

namespace bulkhead::os {
namespace {

/// Like FUTEX_LOCK_PI, with a deadline on the monotonic clock (Linux 5.14).
constexpr int futex_lock_pi2 = 13;

PiOutcome outcome_of(int error) noexcept {
  switch (error) {
    case ETIMEDOUT:
      return PiOutcome::timed_out;
    case EDEADLK:
      return PiOutcome::deadlock;
    case ENOMEM:
      return PiOutcome::exhausted;
    case ENOSYS:
      return PiOutcome::unsupported;
    default:  // ESRCH, EPERM, EINVAL, EFAULT: what stands in the word does not lead to an owner
      return PiOutcome::nobody;
  }
}

}  // namespace

PiOutcome pi_lock(FutexWord& word, Deadline deadline) noexcept {
  timespec until{};
  if (const auto since = deadline.at().time_since_epoch(); since.count() > 0) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since);
    until = {.tv_sec = seconds.count(), .tv_nsec = static_cast<long>((since - seconds).count())};
  }
  for (;;) {
    if (::syscall(SYS_futex, &word, futex_lock_pi2, 0, deadline.is_never() ? nullptr : &until,
                  nullptr, 0) == 0) {
      return PiOutcome::owned;
    }
    // EAGAIN: the owner is just ending.
    if (errno != EINTR && errno != EAGAIN) return outcome_of(errno);
    if (deadline.expired()) return PiOutcome::timed_out;
  }
}

PiOutcome pi_try_lock(FutexWord& word) noexcept {
  if (::syscall(SYS_futex, &word, FUTEX_TRYLOCK_PI, 0, nullptr, nullptr, 0) == 0) {
    return PiOutcome::owned;
  }
  return errno == EAGAIN || errno == EDEADLK ? PiOutcome::busy : outcome_of(errno);
}

bool pi_unlock(FutexWord& word) noexcept {
  for (;;) {
    if (::syscall(SYS_futex, &word, FUTEX_UNLOCK_PI, 0, nullptr, nullptr, 0) == 0) return true;
    if (errno != EINTR && errno != EAGAIN) return false;
  }
}

}  // namespace bulkhead::os

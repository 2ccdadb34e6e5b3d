// SPDX-License-Identifier: Apache-2.0
//
// Waiting on a condition variable until a Deadline.
//
// libstdc++ waits on the monotonic clock through pthread_cond_clockwait, which the ThreadSanitizer
// of GCC 12 does not know: it then takes the mutex for held twice. Under it the wait is told in
// wall-clock time instead.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#include <bulkhead/deadline.hpp>

namespace bulkhead::os {

/// False when the deadline came first. Wakes up for nothing at times, like every condition.
inline bool wait_until(std::condition_variable& condition, std::unique_lock<std::mutex>& lock,
                       Deadline deadline) {
  if (deadline.is_never()) {
    condition.wait(lock);
    return true;
  }
#if defined(__SANITIZE_THREAD__)
  const auto until = std::chrono::system_clock::now() + deadline.remaining();
  return condition.wait_until(lock, until) == std::cv_status::no_timeout;
#else
  return condition.wait_until(lock, deadline.at()) == std::cv_status::no_timeout;
#endif
}

}  // namespace bulkhead::os

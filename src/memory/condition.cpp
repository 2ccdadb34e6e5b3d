// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include <bulkhead/condition.hpp>

#include "memory/lock_error.hpp"
#include "memory/robust_lock.hpp"
#include "os/futex.hpp"

namespace bulkhead {
namespace {

Error refused(const char* cause, const char* remedy) {
  return Error{ErrorKind::invalid,
               {.operation = "wait", .object = "condition", .cause = cause, .remedy = remedy}};
}

}  // namespace

Result<void> Condition::wait(Mutex::Guard& held, Deadline deadline, std::source_location where) {
  if (!held.holds()) return fail(refused("the guard has no lock", "lock first"));
  if (held.owner_died()) {
    return fail(refused("a dead owner's data is not repaired", "repair it and say repaired()"));
  }
  if (!memory::is_this_thread(held.thread_)) {
    return fail(refused("the lock is another thread's", "lock in the thread that waits"));
  }
  Mutex& mutex = *held.mutex_;
  const std::uint32_t seen = sequence_;
  ++waiters_;
  const std::uint32_t depth = std::exchange(mutex.lock_.depth, 1);
  held.unlock();
  const bool in_time = os::futex_wait(sequence_, seen, deadline);
  --waiters_;
  held = BULKHEAD_TRY(mutex.lock(deadline, where));
  mutex.lock_.depth = depth;
  if (held.owner_died()) {
    return fail(Error{ErrorKind::peer_died,
                      {.operation = "wait",
                       .object = mutex.name(),
                       .cause = "an owner died while it had the lock",
                       .remedy = "repair the data, say repaired(), and wait again"}});
  }
  if (!in_time) return fail(ErrorKind::timed_out, {.operation = "wait", .object = mutex.name()});
  return {};
}

void Condition::notify_one() noexcept { notify_all(); }

void Condition::notify_all() noexcept {
  if (waiters_ != 0) os::futex_add_and_wake_all(sequence_, 1);
}

}  // namespace bulkhead

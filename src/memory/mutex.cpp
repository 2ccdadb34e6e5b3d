// SPDX-License-Identifier: Apache-2.0
#include <bulkhead/mutex.hpp>

#include "memory/lock_error.hpp"
#include "memory/robust_lock.hpp"

namespace bulkhead {

using memory::LockOutcome;

Mutex::Mutex(Place place, const char* name, Relock relock) noexcept
    : name_(memory::name_of(place, this, name)) {
  lock_.kind = relock == Relock::allowed ? 1 : 0;
}

Result<Mutex::Guard> Mutex::lock(Deadline deadline, std::source_location where) {
  const auto [outcome, thread] = memory::try_lock(lock_);
  if (outcome == LockOutcome::locked) [[likely]]
    return Guard{*this, thread};
  if (outcome != LockOutcome::busy) return fail(memory::lock_error(outcome, name_, lock_));
  return wait(deadline, where);
}

Result<Mutex::Guard> Mutex::try_lock(std::source_location) {
  const auto [outcome, thread] = memory::try_lock(lock_);
  if (outcome == LockOutcome::locked) return Guard{*this, thread};
  return fail(memory::lock_error(outcome, name_, lock_));
}

Result<Mutex::Guard> Mutex::wait(Deadline deadline, const std::source_location&) {
  const auto [outcome, thread] = memory::wait_for_lock(lock_, deadline);
  if (outcome == LockOutcome::locked) return Guard{*this, thread};
  return fail(memory::lock_error(outcome, name_, lock_));
}

void Mutex::unlock(std::uint32_t owner) noexcept { memory::unlock(lock_, owner); }

std::uint32_t Mutex::owner() const noexcept { return memory::owner(lock_); }

}  // namespace bulkhead

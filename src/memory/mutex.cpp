// SPDX-License-Identifier: Apache-2.0
#include <bulkhead/mutex.hpp>

#include "memory/diagnosing/diagnosing.hpp"
#include "memory/lock_error.hpp"
#include "memory/robust_lock.hpp"

namespace bulkhead {

using memory::LockOutcome;
namespace diagnosing = memory::diagnosing;

namespace {

diagnosing::Lock seen_as(const detail::LockName& name, const detail::RobustLock& lock) noexcept {
  // ORDER(mutex.turns): a count, read for people; no partner.
  return {.region = name.region,
          .offset = name.offset,
          .name = name.text,
          .turns = lock.turns.load(std::memory_order_relaxed)};
}

}  // namespace

Mutex::Mutex(Place place, const char* name, Relock relock) noexcept
    : name_(memory::name_of(place, this, name)) {
  lock_.kind = relock == Relock::allowed ? 1 : 0;
}

Result<Mutex::Guard> Mutex::lock(Deadline deadline, std::source_location where) {
  const auto [outcome, thread] = memory::try_lock(lock_);
  if (outcome == LockOutcome::locked) [[likely]] {
    if (diagnosing::enabled()) [[unlikely]]
      diagnosing::took(seen_as(name_, lock_), lock_.depth, where);
    return Guard{*this, thread};
  }
  if (outcome != LockOutcome::busy) return fail(memory::lock_error(outcome, name_, lock_));
  return wait(deadline, where);
}

Result<Mutex::Guard> Mutex::try_lock(std::source_location where) {
  const auto [outcome, thread] = memory::try_lock(lock_);
  if (outcome == LockOutcome::locked) {
    if (diagnosing::enabled()) [[unlikely]]
      diagnosing::took(seen_as(name_, lock_), lock_.depth, where);
    return Guard{*this, thread};
  }
  return fail(memory::lock_error(outcome, name_, lock_));
}

Result<Mutex::Guard> Mutex::wait(Deadline deadline, const std::source_location& where) {
  diagnosing::Waiting waiting{seen_as(name_, lock_), owner(), deadline, where};
  const auto [outcome, thread] = memory::wait_for_lock(lock_, deadline);
  if (outcome == LockOutcome::locked) {
    // ORDER(mutex.turns): as above, no partner.
    waiting.took(lock_.turns.load(std::memory_order_relaxed));
    return Guard{*this, thread};
  }
  return fail(waiting.explain(memory::lock_error(outcome, name_, lock_)));
}

void Mutex::unlock(std::uint32_t owner) noexcept {
  if (diagnosing::enabled()) [[unlikely]]
    diagnosing::gives(seen_as(name_, lock_), lock_.depth - 1);
  memory::unlock(lock_, owner);
}

std::uint32_t Mutex::owner() const noexcept { return memory::owner(lock_); }

}  // namespace bulkhead

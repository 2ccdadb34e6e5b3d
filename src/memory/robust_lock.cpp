// SPDX-License-Identifier: Apache-2.0
#include "memory/robust_lock.hpp"

#include "os/pi_futex.hpp"
#include "os/robust_list.hpp"

namespace bulkhead::memory {
namespace {

using os::PiOutcome;
using os::RobustThread;

static_assert(-os::robust_word_offset ==
              offsetof(RobustLock, links) + offsetof(detail::RobustLinks, next));

constexpr std::uint32_t recursive = 1;

LockOutcome outcome_of(PiOutcome outcome) noexcept {
  switch (outcome) {
    case PiOutcome::owned:
      return LockOutcome::locked;
    case PiOutcome::busy:
      return LockOutcome::busy;
    case PiOutcome::timed_out:
      return LockOutcome::timed_out;
    case PiOutcome::deadlock:
      return LockOutcome::deadlock;
    case PiOutcome::exhausted:
      return LockOutcome::exhausted;
    case PiOutcome::nobody:
      return LockOutcome::broken;
    case PiOutcome::unsupported:
      break;
  }
  return LockOutcome::unsupported;
}

/// The word is ours, and the list has the note.
void obtained(RobustLock& lock, const RobustThread& self) noexcept {
  self.add(lock.links);
  self.end();
  // ORDER(lock.turns.get): acquire, although the word orders already: where the kernel handed it
  // over, ThreadSanitizer sees no store that the new owner read. Pairs with ORDER(lock.turns.give).
  static_cast<void>(lock.turns.load(std::memory_order_acquire));
  lock.depth = 1;
}

/// The same, where the kernel gave it or its owner may have died.
LockOutcome obtained_slowly(RobustLock& lock, const RobustThread& self) noexcept {
  if ((lock.word.load() & os::pi_died) != 0) {
    // Killed anywhere here, the kernel marks the word again: our successor is told, too.
    if (lock.state == RobustLock::sound) lock.state = RobustLock::suspect;
    lock.word.fetch_and(~os::pi_died);
  }
  obtained(lock, self);
  return LockOutcome::locked;
}

/// Nobody may use what it protects any more.
LockOutcome refuse(RobustLock& lock, const RobustThread& self) noexcept {
  unlock(lock, self.id());
  return LockOutcome::poisoned;
}

LockOutcome checked(RobustLock& lock, const RobustThread& self, LockOutcome outcome) noexcept {
  if (outcome != LockOutcome::locked) return outcome;
  return lock.state == RobustLock::poisoned ? refuse(lock, self) : outcome;
}

/// Where the first swap did not succeed.
LockOutcome try_again(RobustLock& lock, const RobustThread& self, std::uint32_t seen) noexcept {
  if ((seen & os::pi_owner) == self.id()) {
    if (lock.kind != recursive || lock.depth == UINT32_MAX) return LockOutcome::own;
    ++lock.depth;
    return LockOutcome::locked;
  }
  if ((seen & os::pi_owner) != 0) return LockOutcome::busy;
  self.begin(lock.links);
  const LockOutcome outcome = outcome_of(os::pi_try_lock(lock.word));
  if (outcome == LockOutcome::locked) return obtained_slowly(lock, self);
  self.end();
  return outcome;
}

}  // namespace

Attempt try_lock(RobustLock& lock) noexcept {
  const RobustThread self = RobustThread::self();
  if (!self.usable()) return {LockOutcome::unsupported, self.id()};
  self.begin(lock.links);
  std::uint32_t seen = 0;
  if (lock.word.compare_exchange_strong(seen, self.id())) [[likely]] {
    obtained(lock, self);
    return {checked(lock, self, LockOutcome::locked), self.id()};
  }
  self.end();
  return {checked(lock, self, try_again(lock, self, seen)), self.id()};
}

Attempt wait_for_lock(RobustLock& lock, Deadline deadline) noexcept {
  const RobustThread self = RobustThread::self();
  if (!self.usable()) return {LockOutcome::unsupported, self.id()};
  self.begin(lock.links);
  const LockOutcome outcome = outcome_of(os::pi_lock(lock.word, deadline));
  if (outcome == LockOutcome::locked) {
    return {checked(lock, self, obtained_slowly(lock, self)), self.id()};
  }
  self.end();
  return {outcome, self.id()};
}

void unlock(RobustLock& lock, std::uint32_t owner) noexcept {
  const RobustThread self = RobustThread::self();
  if (self.id() != owner) return;
  if (--lock.depth != 0) return;
  if (lock.state == RobustLock::suspect) lock.state = RobustLock::poisoned;
  // ORDER(lock.turns.give): release; pairs with ORDER(lock.turns.get). Only the owner stores.
  lock.turns.store(lock.turns.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  self.begin(lock.links);
  self.remove(lock.links);
  std::uint32_t seen = owner;
  if (!lock.word.compare_exchange_strong(seen, 0) && (seen & os::pi_owner) == owner &&
      !os::pi_unlock(lock.word)) {
    lock.word = 0;  // nobody waits: the word had been written over
  }
  self.end();
}

std::uint32_t owner(const RobustLock& lock) noexcept { return lock.word.load() & os::pi_owner; }

std::uint32_t this_thread() noexcept { return RobustThread::self().id(); }

bool is_this_thread(std::uint32_t thread) noexcept { return RobustThread::self().id() == thread; }

}  // namespace bulkhead::memory

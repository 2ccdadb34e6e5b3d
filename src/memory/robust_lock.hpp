// SPDX-License-Identifier: Apache-2.0
//
// Locking and unlocking a RobustLock: what Mutex and SharedMutex are made of.
//
// Not pthread_mutex_t, although it is built on the same two things of the kernel: with robust,
// priority-inheriting mutexes glibc 2.36 aborts the process when the kernel finds a deadlock, or a
// word that names no thread, and with others of them it hides the deadlock and sleeps for ever.
// docs/decisions/0042 has the cases.
//
// The steps of lock() and unlock(), and what is true if the owner is killed after each:
//   lock    begin     the list says that this lock is being got or given up; nothing was changed
//           swap      the word is ours: the kernel sees the note and marks the word `died`
//           add       it is in the list
//           end       the note is gone; the list is there
//   unlock  begin     the note is there
//           remove    out of the list; the note is there
//           swap      the word is free or the next one's: the kernel leaves it alone
//           end
// So a dead owner is always found by the kernel. It may be reported although it had touched nothing.
// tests/crash/operations_locks.cpp kills at each of these places, model/mutex.pml in each state.
//
// TRUST: equal. Whoever can write the links can make the others write anywhere. A word that was
// written over with anything is an outcome, never a crash, and a wait ends at its deadline.
#pragma once

#include <cstdint>

#include <bulkhead/deadline.hpp>
#include <bulkhead/detail/robust_lock.hpp>

namespace bulkhead::memory {

using detail::RobustLock;

enum class LockOutcome : std::uint8_t {
  locked,       ///< also after a death: the state then is `suspect`
  busy,         ///< another has it (try_lock)
  timed_out,    ///< another has it still
  own,          ///< the calling thread has it already, and it is not of the recursive kind
  deadlock,     ///< its owner waits, in the end, for the calling thread
  poisoned,     ///< a suspect one was unlocked without being repaired
  exhausted,    ///< no memory in the kernel
  broken,       ///< its word names no thread that could ever unlock it
  unsupported,  ///< no robust list, or a kernel without these futexes
};

/// How it went, and for which thread.
struct Attempt {
  LockOutcome outcome;
  std::uint32_t thread;
};

/// Locks it if that can be done at once.
Attempt try_lock(RobustLock& lock) noexcept;
/// After try_lock() said `busy`: waits for it. Never `busy`.
Attempt wait_for_lock(RobustLock& lock, Deadline deadline) noexcept;
/// Both.
inline Attempt lock(RobustLock& lock, Deadline deadline) noexcept {
  const Attempt tried = try_lock(lock);
  return tried.outcome == LockOutcome::busy ? wait_for_lock(lock, deadline) : tried;
}

/// Once. Nothing unless the calling thread is `owner`: in a forked child it is not.
void unlock(RobustLock& lock, std::uint32_t owner) noexcept;

/// The owner's part in the state.
inline bool suspect(const RobustLock& lock) noexcept { return lock.state == RobustLock::suspect; }
inline void repaired(RobustLock& lock) noexcept {
  if (suspect(lock)) lock.state = RobustLock::sound;
}

/// The thread that has it now; 0 when none has.
std::uint32_t owner(const RobustLock& lock) noexcept;
std::uint32_t this_thread() noexcept;
/// `thread` is the calling one: never in a forked child that a guard was copied into.
bool is_this_thread(std::uint32_t thread) noexcept;

}  // namespace bulkhead::memory

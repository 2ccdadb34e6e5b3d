// SPDX-License-Identifier: Apache-2.0
//
// Mutex: a lock for threads of any process that shares its memory, that outlives a dead owner.
//
//   struct Account {
//     explicit Account(Place place) : lock(place, "account") {}
//     Mutex lock;
//     std::int64_t balance = 0;
//   };
//   auto held = BULKHEAD_TRY(account->lock.lock(100ms));
//   if (held.owner_died()) {             // it may have died between two of its changes
//     account->balance = recount();
//     held.repaired();
//   }
//   account->balance += 5;
//                                         // unlocked at the end of the scope
//
// Robust: when a thread ends or its process is killed while it has the lock, the kernel gives the
// lock to the next one, who is told. Whoever unlocks then without having said repaired() makes it
// `poisoned` for ever: nobody works on half-changed data because somebody did not look.
// Priority-inheriting: while a thread with a higher priority waits, the owner runs with that one's.
// Who waits longest comes first, among equal priorities.
// A circle of waits across any processes is `deadlock` for the one that would close it: the kernel
// sees it. Diagnosing (diagnosing.hpp) names it.
//
// Any thread of any process that has the memory; not from a signal handler. lock() may block until
// its deadline; the end of the owner ends the wait. A forked child does not have what its parent
// holds; a Guard that it inherits does nothing there. The processes are in one PID namespace: the
// lock knows a thread by its number. A lock is never moved, copied or destroyed, its memory just
// ends; that must not be unmapped while this process holds it.
// TRUST: equal (place.hpp). Unlike its links the word may be written over with anything: that is
// `corrupt`, `deadlock` or a wait until the deadline.
#pragma once

#include <cstdint>
#include <source_location>
#include <utility>

#include <bulkhead/deadline.hpp>
#include <bulkhead/detail/export.hpp>
#include <bulkhead/detail/robust_lock.hpp>
#include <bulkhead/place.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead {

class BULKHEAD_API Mutex {
 public:
  class Guard;
  /// May a thread lock again what it has? Then it unlocks as often.
  enum class Relock : std::uint8_t { refused, allowed };

  /// `name` is for people: the first 23 bytes of it are kept.
  explicit Mutex(Place place, const char* name = "", Relock relock = Relock::refused) noexcept;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  /// Errors: `timed_out` and who has it, `deadlock`, `poisoned`, `exhausted`, `unsupported`;
  /// `corrupt` when its word was written over, or its owner is in another PID namespace.
  Result<Guard> lock(Deadline deadline = never,
                     std::source_location where = std::source_location::current());
  /// The same, but `full` when another has it.
  Result<Guard> try_lock(std::source_location where = std::source_location::current());

  const char* name() const noexcept { return name_.text; }
  /// The thread that has it at this moment, 0 when none has: for people, and for tests.
  std::uint32_t owner() const noexcept;
  bool poisoned() const noexcept { return lock_.state == detail::RobustLock::poisoned; }

 private:
  friend class Condition;
  Result<Guard> wait(Deadline deadline, const std::source_location& where);
  void unlock(std::uint32_t owner) noexcept;

  // LAYOUT, 80 bytes
  //   offset size field  written by          read by
  //    0     40   lock_  detail/robust_lock.hpp
  //   40     40   name_  its maker           everybody
  detail::RobustLock lock_;
  detail::LockName name_;
};
static_assert(sizeof(Mutex) == 80);

/// Has the lock, and gives it up at the end of its scope, in the thread that got it.
class [[nodiscard]] BULKHEAD_API Mutex::Guard {
 public:
  Guard() = default;  // has none
  Guard(Guard&& other) noexcept
      : mutex_(std::exchange(other.mutex_, nullptr)), thread_(other.thread_) {}
  Guard& operator=(Guard&& other) noexcept {
    if (this != &other) {
      unlock();
      mutex_ = std::exchange(other.mutex_, nullptr);
      thread_ = other.thread_;
    }
    return *this;
  }
  ~Guard() { unlock(); }

  /// False after unlock(), a move, or a wait that could not lock again.
  bool holds() const noexcept { return mutex_ != nullptr; }
  /// An owner ended while it had the lock, and nobody has said repaired() since. REQUIRES: holds().
  bool owner_died() const noexcept { return mutex_->lock_.state == detail::RobustLock::suspect; }
  /// What the lock protects is in order again. REQUIRES: holds().
  void repaired() noexcept {
    if (owner_died()) mutex_->lock_.state = detail::RobustLock::sound;
  }
  void unlock() noexcept {
    if (Mutex* const mutex = std::exchange(mutex_, nullptr)) mutex->unlock(thread_);
  }

 private:
  friend class Mutex;
  friend class Condition;
  Guard(Mutex& mutex, std::uint32_t thread) noexcept : mutex_(&mutex), thread_(thread) {}

  Mutex* mutex_ = nullptr;
  std::uint32_t thread_ = 0;
};

#if __cpp_exceptions
/// A Mutex or SharedMutex for std::scoped_lock, std::unique_lock, std::lock: an object a thread.
///
///   Lockable from{sender->lock}, to{receiver->lock};
///   std::scoped_lock both{from, to};                   // in whatever order: no deadlock
///   if (from.owner_died()) { ...; from.repaired(); }
template <class Lock> class Lockable {
 public:
  explicit Lockable(Lock& lock, std::source_location where = std::source_location::current())
      : lock_(&lock), where_(where) {}

  /// Throws Failure where the lock's own lock() has an error.
  void lock() { held_ = or_throw(lock_->lock(never, where_)); }
  bool try_lock() { return keep(lock_->try_lock(where_)); }
  template <class Duration> bool try_lock_for(Duration within) {
    return keep(lock_->lock(within, where_));
  }
  bool try_lock_until(Deadline::Clock::time_point at) {
    return keep(lock_->lock(Deadline{at}, where_));
  }
  void unlock() noexcept { held_.unlock(); }

  /// As of the Guard. REQUIRES: locked.
  bool owner_died() const noexcept { return held_.owner_died(); }
  void repaired() noexcept { held_.repaired(); }

 protected:
  Lock* lock_;
  std::source_location where_;

 private:
  bool keep(Result<typename Lock::Guard> held) {
    if (held) held_ = *std::move(held);
    return held.has_value();
  }

  typename Lock::Guard held_;
};
#endif

}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
//
// Condition: waiting until something that a Mutex protects has changed, between threads of any
// process, whoever of them dies.
//
//   struct Inbox {
//     explicit Inbox(Place place) : lock(place, "inbox"), filled(place) {}
//     Mutex lock;
//     Condition filled;
//     ...
//   };
//   auto held = BULKHEAD_TRY(inbox->lock.lock());                    // who waits
//   BULKHEAD_TRY(inbox->filled.wait(held, [&] { return inbox->count != 0; }, 100ms));
//
//   auto held = BULKHEAD_TRY(inbox->lock.lock());                    // who changes it
//   inbox->count += 1;
//   inbox->filled.notify_one();
//
// Any thread of any process that has the memory; not from a signal handler. All who wait use the
// same Mutex; notifying needs no lock, but the change itself does. wait() may block until its
// deadline, its locking again included. It may return for nothing: look again.
// Death: a waiter that is killed, asleep or on its way, keeps nobody: a notification wakes all, and
// each looks for itself. (Were only one woken, it could be killed before it has looked; nobody would
// then wake the next.) A notification is one step of the kernel: who is killed in it has done it or
// not begun. A peer that dies before it notifies has notified nobody: hence deadlines. An owner of
// the Mutex that dies while others wait is told to the next who locks, by wait() as `peer_died`.
//
// Why no wake-up is lost. A waiter has the lock when it counts itself as waiting and reads the
// sequence number, and goes to sleep only if that is still the number. The changer's lock comes
// either before the waiter's, which then sees the change; or after it, and then the changer sees
// that somebody waits, and its new number either wakes the waiter or stops it from falling asleep.
// The number has 32 bits: a waiter would sleep on if it were stopped between its unlocking and its
// sleep for exactly 2^32 notifications, each of which is a system call (a quarter of an hour at the
// least, and then one chance in 2^32). The count of waiters is never too low; a killed waiter leaves
// it too high, and that costs later notifications a system call for nobody.
// TRUST: equal (place.hpp). With forged numbers a wait ends early or at its deadline.
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <source_location>

#include <bulkhead/deadline.hpp>
#include <bulkhead/detail/export.hpp>
#include <bulkhead/mutex.hpp>
#include <bulkhead/place.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead {

class BULKHEAD_API Condition {
 public:
  explicit Condition(Place) noexcept {}
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  /// Unlocks, waits for a notification, and locks again; a recursive Mutex wholly.
  /// Errors: `timed_out`, `peer_died` when an owner died meanwhile (repair what it left, and wait
  /// anew), `invalid` when the guard has no lock or has not said repaired(); what Mutex::lock says.
  /// After an error the guard may have no lock (ask holds()): at a deadline when another has it.
  Result<void> wait(Mutex::Guard& held, Deadline deadline = never,
                    std::source_location where = std::source_location::current());

  /// Until `holds()` is true, which is asked with the lock only.
  template <std::predicate Predicate>
  Result<void> wait(Mutex::Guard& held, Predicate holds, Deadline deadline = never,
                    std::source_location where = std::source_location::current()) {
    while (!holds()) {
      if (auto woken = wait(held, deadline, where); !woken) {
        const bool last_look = woken.error() == ErrorKind::timed_out && held.holds();
        if (!last_look || !holds()) return woken;
      }
    }
    return {};
  }

  /// Everybody who waits looks again. notify_one() says that one would be enough; it wakes all, too.
  void notify_one() noexcept;
  void notify_all() noexcept;

 private:
  // LAYOUT, 8 bytes
  //   offset size field      written by              read by
  //    0     4    sequence_  who notifies, +1        who waits; its futex
  //    4     4    waiters_   who waits, +1 and -1    who notifies
  std::atomic<std::uint32_t> sequence_{0};
  std::atomic<std::uint32_t> waiters_{0};
};
static_assert(sizeof(Condition) == 8);

}  // namespace bulkhead

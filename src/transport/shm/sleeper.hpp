// SPDX-License-Identifier: Apache-2.0
//
// Sleeper: how one thread of an end (its receiver for data, or its sender for space) waits for a
// cursor of the peer to move. One for each; private to its thread.
//
// STATE of a wait word (its epoch; only this thread writes it)
//   even  awake   -> odd   arm(): a new odd number, never used before
//   odd   armed   -> odd   arm(): a new one, after a ring without news: nobody rings the old again
//   odd   armed   -> even  disarm(): the wait is over. A ring under way is a stale bell: it costs
//                          the next sleep one turn, no more
//
// Why no wake-up is lost: arm() stores the odd word, fences, and the cursor is looked at again; the
// waker stores the cursor, fences, and looks at the word. One of the two sees the other's store.
// docs/protocol/shm.md has the argument whole.
//
// Peer death: the control socket hangs up, which ends the sleep; the caller looks at the cursor
// once more before it believes that nothing is there.
// TRUST: a hostile peer can ring for ever. After 16 rings without news in one wait this thread
// looks only every millisecond, and at the control socket.
#pragma once

#include <atomic>
#include <cstdint>
#include <sched.h>

#include <bulkhead/deadline.hpp>
#include <bulkhead/fd.hpp>

#include "os/fence.hpp"
#include "transport/shm/bell.hpp"
#include "transport/shm/hostile_view.hpp"
#include "transport/shm/waiting.hpp"
#include "transport/shm/wake_set.hpp"

namespace bulkhead::transport::shm {

enum class Wake : std::uint8_t { ready, timed_out, hung_up };

class Sleeper {
 public:
  enum class For : std::uint8_t { data, space };

  /// `bell`, `wake_set` and `control` stay valid while it lives.
  Sleeper(For what, Words& own, PeerWords peer, const BellWatch& bell, WakeSet& wake_set,
          FdView control, WaitPolicy::Place place) noexcept;

  /// Until `ready()` is true. It is called often, must be quick, and answers true as well when the
  /// peer has lied. `before_sleep()` is called once before the first sleep.
  template <class Ready, class BeforeSleep>
  Wake wait(Ready&& ready, BeforeSleep&& before_sleep, Deadline deadline) {
    const int polls = policy_.first_polls();
    for (int i = 0; i < polls; ++i) {
      if (ready()) return Wake::ready;
    }
    return wait_on(ready, before_sleep, deadline);
  }

  /// For those who wait outside, on readable() or writable(): forgets old rings and arms, so that
  /// the next publication rings. The cursor is to be looked at again after it.
  void arm_for_outside() noexcept;

  /// The peer has closed or died, or this end has closed. One system call.
  bool hung_up() const noexcept;

 private:
  static constexpr int polls_between_clocks = 16;
  static constexpr int yields = 3;
  static constexpr int patience_with_rings = 16;
  /// Epochs, and so at most rings, between two drains of a bell that fills up: far fewer than the
  /// smallest socket buffer holds.
  static constexpr std::uint64_t epochs_between_drains = 16;
  static constexpr std::chrono::nanoseconds turn{20'000};
  static constexpr std::chrono::milliseconds pause_for_liars{1};

  template <class Ready, class BeforeSleep>
  [[gnu::noinline]] Wake wait_on(Ready& ready, BeforeSleep& before_sleep, Deadline deadline) {
    const bool shared = peer_shares_cpu();
    const auto way = policy_.choose(shared);
    // Two on one processor never spin: there is nothing to learn then, and no clock to read.
    const auto began = shared ? Deadline::Clock::time_point{} : Deadline::Clock::now();
    if (way == WaitPolicy::Way::yield && yielded(ready)) return Wake::ready;
    if (way == WaitPolicy::Way::spin && spun(ready, began, deadline)) {
      policy_.awake(Deadline::Clock::now() - began);
      return Wake::ready;
    }
    before_sleep();
    for (int rings = 0;; ++rings) {
      arm();
      if (ready()) return disarm(Wake::ready);
      const auto woken = sleep(deadline, rings);
      const bool there = ready();  // after a hang-up: what was published last still counts
      if (there && woken == WakeSet::Woken::rung && !shared) learn(began);
      if (there) return disarm(Wake::ready);
      if (woken == WakeSet::Woken::hung_up) return disarm(Wake::hung_up);
      if (woken == WakeSet::Woken::timed_out) return disarm(Wake::timed_out);
    }
  }

  template <class Ready> bool yielded(Ready& ready) {
    for (int i = 0; i < yields; ++i) {
      ::sched_yield();
      if (ready()) return true;
    }
    return false;
  }

  template <class Ready>
  bool spun(Ready& ready, Deadline::Clock::time_point began, Deadline deadline) {
    const auto end = earlier(deadline, Deadline{began + policy_.spin_for()}).at();
    auto yield_at = began + turn;
    for (;;) {
      for (int i = 0; i < polls_between_clocks; ++i) {
        if (ready()) return true;
        relax();
      }
      const auto now = Deadline::Clock::now();
      if (now >= end) return false;
      if (now >= yield_at) {
        // The peer may be queued on our processor, and then cannot tell that it is there.
        ::sched_yield();
        yield_at = now + turn;
      }
    }
  }

  /// Tells our processor when it changed, and compares it with the peer's.
  bool peer_shares_cpu() noexcept;
  void arm() noexcept;
  Wake disarm(Wake wake) noexcept;
  /// Until rung, hung up or the deadline.
  WakeSet::Woken sleep(Deadline deadline, int rings_without_news) noexcept;
  void learn(Deadline::Clock::time_point began) noexcept;

  For what_;
  Words* own_;
  std::atomic<std::uint64_t>* word_;
  PeerWords peer_;
  const BellWatch* bell_;
  WakeSet* wake_set_;
  FdView control_;
  std::uint64_t epoch_ = 0;
  WaitPolicy policy_;
};

}  // namespace bulkhead::transport::shm

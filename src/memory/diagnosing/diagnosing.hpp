// SPDX-License-Identifier: Apache-2.0
//
// What a lock with an owner tells about itself while locks are diagnosed (bulkhead/diagnosing.hpp).
// What has none (a semaphore, a condition, a barrier) waits for an event, and nobody can say who
// would bring it.
//
//   if (got it at once) { if (enabled()) [[unlikely]] took(lock, 1, where); return; }
//   Waiting waiting{lock, owner, deadline, where};   // nothing when not enabled
//   wait in the kernel
//   if (got it) { waiting.took(turns); return; }
//   return fail(waiting.explain(error));             // `deadlock`: with the circle in words
//   ...
//   if (enabled()) [[unlikely]] gives(lock, 0);         // just before it is unlocked, each time
//
// The order matters, board.hpp says why: a board shows an owner after it has the lock and until just
// before it gives it up, and a waiter from before it waits until after it has the lock or goes away.
// A wait for a condition: gives() before it, and locking again after it is a wait like any other.
//
// Nothing here waits, fails or throws; where something cannot be noted (no memory, no room on the
// board) it is not, and the lock works as without.
#pragma once

#include <atomic>
#include <cstdint>
#include <source_location>

#include <bulkhead/deadline.hpp>
#include <bulkhead/error.hpp>

namespace bulkhead::memory::diagnosing {

enum class Mode : std::uint16_t {
  exclusive = 0,  ///< owns it alone; waits for all its owners
  shared = 1,     ///< one of its readers; waits for its writer
};

/// A lock, in the words of all processes that see it.
struct Lock {
  std::uint64_t region = 0;  ///< Place::region()
  std::uint64_t offset = 0;  ///< Place::offset_of(the lock)
  const char* name = "";     ///< at most 23 characters are noted
  Mode mode = Mode::exclusive;
  std::uint64_t turns = 0;  ///< how often it was given up until now
};

enum class Setting : int { off, on, undecided };
extern std::atomic<Setting> setting;
/// Turns it on if the environment says so.
bool decide() noexcept;

/// The one load that diagnosing costs while it is off.
inline bool enabled() noexcept {
  // ORDER(diagnosing.setting): an option; whoever sees it late notes a lock less; no partner.
  const Setting now = setting.load(std::memory_order_relaxed);
  return now != Setting::off && (now == Setting::on || decide());
}

/// The calling thread has the lock, now `depth` times.
void took(const Lock& lock, std::uint32_t depth, const std::source_location& where) noexcept;
/// It is about to give it up, once, and has it `left` times then. Nothing when it was not noted.
void gives(const Lock& lock, std::uint32_t left) noexcept;

/// The calling thread waits for a lock. On its stack.
class Waiting {
 public:
  /// Publishes it, when locks are diagnosed. `owner`: a thread that has it, 0 for one not known.
  Waiting(const Lock& lock, std::uint32_t owner, Deadline deadline,
          const std::source_location& where) noexcept;
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting();  // went away without the lock

  /// The lock is ours: the wait ends and the lock is noted as taken. `turns`: of the lock, now.
  void took(std::uint64_t turns) noexcept;

  /// The wait failed, and the kernel or the clock said why: the same error, `deadlock` with the
  /// circle in words, `timed_out` with the lines at which the owners took it. As it was, where the
  /// boards do not say. Before the wait ends.
  Error explain(Error error) const noexcept;

 private:
  void note_how_long(std::uint64_t passed_over) noexcept;

  Lock lock_;
  std::source_location where_;
  std::int64_t since_ = 0;
  std::uint32_t outranked_ = 0;  // an owner of lower priority
  bool noted_ = false;
};

}  // namespace bulkhead::memory::diagnosing

// SPDX-License-Identifier: Apache-2.0
//
// Why a writer is alone. It stores `intent` at the gate and then looks at each slot; a reader takes a
// slot and then looks at the gate, all of it sequentially consistent: one of the two sees the other.
// A reader that sees a closed gate gives its slot back and queues for the writers' lock; whoever has
// that finds the gate open, takes a slot before it lets the next one go on, and so is never alone
// with a writer. A writer that sees a slot taken waits for its lock, which ends with the reader, dead
// or alive.
//
// What a death leaves: of a reader a slot whose lock the kernel has marked, which the next that takes
// it clears; of a writer the writers' lock, marked, and the gate as it was. The next owner of that
// lock settles the gate first; it may die doing so, and the next one does it again.
#include <bit>
#include <optional>

#include <bulkhead/shared_mutex.hpp>

#include "memory/diagnosing/diagnosing.hpp"
#include "memory/lock_error.hpp"
#include "memory/robust_lock.hpp"

namespace bulkhead {

using memory::LockOutcome;
namespace diagnosing = memory::diagnosing;

namespace {

diagnosing::Lock seen_as(const detail::LockName& name, const detail::RobustLock& writers,
                         diagnosing::Mode mode) noexcept {
  // ORDER(shared_mutex.turns): a count, read for people; no partner.
  return {.region = name.region,
          .offset = name.offset,
          .name = name.text,
          .mode = mode,
          .turns = writers.turns.load(std::memory_order_relaxed)};
}

}  // namespace

namespace {

/// Where a thread begins to look for a slot: the one that it had last. At first each has another as
/// far as can be told; a forked child has its parent's, until the one comes in the other's way.
constexpr std::uint32_t nowhere = UINT32_MAX;
[[gnu::tls_model("initial-exec")]] constinit thread_local std::uint32_t last_slot = nowhere;

std::uint32_t home_slot() noexcept {
  if (last_slot == nowhere) [[unlikely]] {
    const auto at = reinterpret_cast<std::uintptr_t>(__builtin_thread_pointer());
    last_slot =
        static_cast<std::uint32_t>(static_cast<std::uint64_t>(at) * 0x9e3779b97f4a7c15U >> 59);
  }
  return last_slot;
}

}  // namespace

/// How long a call waits, not at all for a try; and whose it is.
struct SharedMutex::Patience {
  std::optional<Deadline> deadline;
  const std::source_location& where;

  memory::Attempt take(detail::RobustLock& lock) const noexcept {
    return deadline ? memory::lock(lock, *deadline) : memory::try_lock(lock);
  }
};

/// What came of it, and over which lock.
struct SharedMutex::Outcome {
  memory::Attempt attempt;
  const detail::RobustLock* lock = nullptr;
  std::uint32_t slot = 0;
  bool after_death = false;  ///< poisoned is not meant, but `peer_died`

  bool locked() const noexcept { return attempt.outcome == LockOutcome::locked; }
};

SharedMutex::SharedMutex(Place place, const char* name) noexcept
    : name_(memory::name_of(place, this, name)) {}

SharedMutex::Outcome SharedMutex::take_writers_lock(const Patience& patience) noexcept {
  const Outcome taken{.attempt = patience.take(writers_), .lock = &writers_};
  if (taken.locked() && memory::suspect(writers_)) {
    // In this order: killed in between, our successor finds the same or what comes next.
    const std::uint32_t left = gate_;
    if ((left & inside) != 0) gate_ = left | suspect;
    gate_ &= ~(intent | inside);
    memory::repaired(writers_);
  }
  return taken;
}

SharedMutex::Outcome SharedMutex::wait_for_readers(const Patience& patience) noexcept {
  // A reader that comes too late for this look at the marks sees the gate closed.
  for (std::uint32_t marks = marks_; marks != 0; marks &= marks - 1) {
    Slot& slot = slots_[std::countr_zero(marks)];
    if (slot.lock.word.load() == 0) continue;
    const memory::Attempt attempt = patience.take(slot.lock);
    if (attempt.outcome != LockOutcome::locked) return {.attempt = attempt, .lock = &slot.lock};
    memory::repaired(slot.lock);
    memory::unlock(slot.lock, attempt.thread);
  }
  return {.attempt = {LockOutcome::locked, 0}};
}

SharedMutex::Outcome SharedMutex::enter(const Patience& patience) noexcept {
  const Outcome taken = take_writers_lock(patience);
  if (!taken.locked()) return taken;
  // From here on all others wait for this one, also while it waits for the readers.
  if (diagnosing::enabled()) [[unlikely]]
    diagnosing::took(seen_as(name_, writers_, diagnosing::Mode::exclusive), 1, patience.where);
  gate_ |= intent;
  Outcome waited = wait_for_readers(patience);
  if (waited.locked()) waited = judged(taken);
  if (!waited.locked()) {
    gate_ &= ~intent;
    if (diagnosing::enabled()) [[unlikely]]
      diagnosing::gives(seen_as(name_, writers_, diagnosing::Mode::exclusive), 0);
    memory::unlock(writers_, taken.attempt.thread);
    return waited;
  }
  // ORDER(shared_mutex.inside): relaxed; readers ask only whether the gate is open, and stay out
  // since `intent`. For the next writer, through the kernel, should we die; no partner.
  gate_.store((gate_.load(std::memory_order_relaxed) & ~intent) | inside,
              std::memory_order_relaxed);
  return taken;
}

/// With the writers' lock.
SharedMutex::Outcome SharedMutex::judged(Outcome taken) noexcept {
  if ((gate_ & poison) != 0) taken.attempt.outcome = LockOutcome::poisoned;
  return taken;
}

void SharedMutex::leave(std::uint32_t thread) noexcept {
  if (!memory::is_this_thread(thread)) return;
  if (diagnosing::enabled()) [[unlikely]]
    diagnosing::gives(seen_as(name_, writers_, diagnosing::Mode::exclusive), 0);
  const std::uint32_t now = gate_;
  // ORDER(shared_mutex.open): release; what was written is seen by who sees the gate open, pairs
  // with ORDER(shared_mutex.look).
  gate_.store((now & suspect) != 0 ? poison : now & ~inside, std::memory_order_release);
  memory::unlock(writers_, thread);
}

SharedMutex::Outcome SharedMutex::take_slot(const Patience& patience) noexcept {
  const std::uint32_t home = home_slot();
  for (std::uint32_t i = 0; i < most_readers; ++i) {
    const std::uint32_t slot = (home + i) % most_readers;
    mark(slot);
    detail::RobustLock& lock = slots_[slot].lock;
    const Outcome taken{.attempt = memory::try_lock(lock), .lock = &lock, .slot = slot};
    const bool elsewhere =
        taken.attempt.outcome == LockOutcome::busy || taken.attempt.outcome == LockOutcome::own;
    if (elsewhere) continue;
    last_slot = slot;
    return taken;
  }
  detail::RobustLock& lock = slots_[home].lock;
  return {.attempt = patience.take(lock), .lock = &lock, .slot = home};
}

/// Before its lock is taken, once for all readers.
void SharedMutex::mark(std::uint32_t slot) noexcept {
  if ((marks_ & 1U << slot) == 0) marks_ |= 1U << slot;
}

/// The short way: a slot that is free and sound, and an open gate. The slot, or `most_readers`.
std::uint32_t SharedMutex::enter_at_once(std::uint32_t& thread) noexcept {
  const std::uint32_t slot = home_slot();
  mark(slot);
  detail::RobustLock& lock = slots_[slot].lock;
  const memory::Attempt attempt = memory::try_lock(lock);
  if (attempt.outcome != LockOutcome::locked) return most_readers;
  memory::repaired(lock);
  thread = attempt.thread;
  // ORDER(shared_mutex.look): sequentially consistent, after the slot's swap; pairs with
  // ORDER(shared_mutex.open), and with `intent` and the looks at the slots.
  if (gate_.load() == 0) [[likely]]
    return slot;
  memory::unlock(lock, attempt.thread);
  return most_readers;
}

SharedMutex::Outcome SharedMutex::enter_shared(const Patience& patience) noexcept {
  Outcome taken = take_slot(patience);
  if (!taken.locked()) return taken;
  memory::repaired(slots_[taken.slot].lock);
  if (gate_ == 0) return taken;  // as in enter_at_once()
  memory::unlock(slots_[taken.slot].lock, taken.attempt.thread);

  const Outcome queued = take_writers_lock(patience);
  if (!queued.locked()) return queued;
  taken = judged(queued);
  if (taken.locked() && (gate_ & suspect) != 0) {
    taken.attempt.outcome = LockOutcome::poisoned;
    taken.after_death = true;
  }
  if (taken.locked()) taken = take_slot(patience);
  if (taken.locked()) memory::repaired(slots_[taken.slot].lock);
  memory::unlock(writers_, queued.attempt.thread);
  return taken;
}

void SharedMutex::leave_shared(std::uint32_t slot, std::uint32_t thread) noexcept {
  if (diagnosing::enabled()) [[unlikely]] {
    if (!memory::is_this_thread(thread)) return;
    diagnosing::gives(seen_as(name_, writers_, diagnosing::Mode::shared), 0);
  }
  memory::unlock(slots_[slot].lock, thread);
}

Error SharedMutex::error(const Outcome& outcome, const char* operation) const {
  if (outcome.after_death) {
    return Error{ErrorKind::peer_died,
                 {.operation = operation,
                  .object = name_.text,
                  .cause = "a writer died while it was writing",
                  .remedy = "lock for writing, repair the data and say repaired()"}};
  }
  const Error error = memory::lock_error(outcome.attempt.outcome, name_, *outcome.lock);
  return Error{error.kind(),
               {.operation = operation,
                .object = name_.text,
                .cause = error.cause(),
                .remedy = error.remedy()}};
}

// While locks are diagnosed a call tries first: only who has to wait is said to.

Result<SharedMutex::Guard> SharedMutex::lock(Deadline deadline, std::source_location where) {
  const auto at_first = diagnosing::enabled() ? std::nullopt : std::optional{deadline};
  Outcome outcome = enter({at_first, where});
  if (outcome.attempt.outcome == LockOutcome::busy) {
    diagnosing::Waiting waiting{seen_as(name_, writers_, diagnosing::Mode::exclusive),
                                memory::owner(*outcome.lock), deadline, where};
    outcome = enter({deadline, where});
    if (!outcome.locked()) return fail(waiting.explain(error(outcome, "lock")));
    waiting.took(seen_as(name_, writers_, diagnosing::Mode::exclusive).turns);
  }
  if (!outcome.locked()) return fail(error(outcome, "lock"));
  return Guard{*this, outcome.attempt.thread};
}

Result<SharedMutex::Guard> SharedMutex::try_lock(std::source_location where) {
  const Outcome outcome = enter({std::nullopt, where});
  if (!outcome.locked()) return fail(error(outcome, "lock"));
  return Guard{*this, outcome.attempt.thread};
}

Result<SharedMutex::SharedGuard> SharedMutex::lock_shared(Deadline deadline,
                                                          std::source_location where) {
  const bool diagnosed = diagnosing::enabled();
  std::uint32_t thread = 0;
  if (const auto slot = diagnosed ? most_readers : enter_at_once(thread); slot != most_readers) {
    return SharedGuard{*this, thread, slot};
  }
  const auto at_first = diagnosed ? std::nullopt : std::optional{deadline};
  Outcome outcome = enter_shared({at_first, where});
  if (outcome.attempt.outcome == LockOutcome::busy) {
    diagnosing::Waiting waiting{seen_as(name_, writers_, diagnosing::Mode::shared),
                                memory::owner(*outcome.lock), deadline, where};
    outcome = enter_shared({deadline, where});
    if (!outcome.locked()) return fail(waiting.explain(error(outcome, "lock_shared")));
    waiting.took(seen_as(name_, writers_, diagnosing::Mode::shared).turns);
  } else if (outcome.locked() && !at_first) {
    diagnosing::took(seen_as(name_, writers_, diagnosing::Mode::shared), 1, where);
  }
  if (!outcome.locked()) return fail(error(outcome, "lock_shared"));
  return SharedGuard{*this, outcome.attempt.thread, outcome.slot};
}

Result<SharedMutex::SharedGuard> SharedMutex::try_lock_shared(std::source_location where) {
  const Outcome outcome = enter_shared({std::nullopt, where});
  if (!outcome.locked()) return fail(error(outcome, "lock_shared"));
  if (diagnosing::enabled()) [[unlikely]]
    diagnosing::took(seen_as(name_, writers_, diagnosing::Mode::shared), 1, where);
  return SharedGuard{*this, outcome.attempt.thread, outcome.slot};
}

std::uint32_t SharedMutex::readers() const noexcept {
  std::uint32_t count = 0;
  for (const Slot& slot : slots_) count += memory::owner(slot.lock) != 0 ? 1 : 0;
  return count;
}

}  // namespace bulkhead

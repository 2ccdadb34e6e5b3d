// SPDX-License-Identifier: Apache-2.0
//
// SharedMutex: one writer or up to 32 readers, threads of any process, and no death blocks anybody.
//
//   auto reading = BULKHEAD_TRY(table->lock.lock_shared(100ms));   // beside other readers
//   auto writing = BULKHEAD_TRY(table->lock.lock(100ms));          // alone
//   if (writing.owner_died()) { rebuild(*table); writing.repaired(); }
//
// A reader that dies has changed nothing: nobody is told. After a writer that died while it was
// writing, readers get `peer_died` until somebody who locks for writing has said repaired(); who
// unlocks without that makes it `poisoned` for ever.
// Whoever comes after a waiting writer waits behind it, in order of arrival, so neither readers nor
// writers starve; a thread that reads must not lock once more, for it may then wait for itself: the
// kernel sees such a circle, which is `deadlock`. As in Mutex owners run with the priority of who
// waits for them.
//
// It is 33 robust locks (detail/robust_lock.hpp). A reader takes one of 32 slots, which no other
// reader touches: readers on different processors share no cache line. The 33rd thread that reads at
// the same time waits for a slot. A writer has the lock of the writers, says so at the gate, and
// waits for each slot that is taken. See Mutex for who may call what, for forks, and for what may
// not be done with the memory meanwhile. Read mostly and small? Seqlock never waits for readers.
// TRUST: equal (place.hpp).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <utility>

#include <bulkhead/deadline.hpp>
#include <bulkhead/detail/export.hpp>
#include <bulkhead/detail/robust_lock.hpp>
#include <bulkhead/mutex.hpp>
#include <bulkhead/place.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead {

class BULKHEAD_API SharedMutex {
 public:
  class Guard;
  class SharedGuard;
  static constexpr std::uint32_t most_readers = 32;

  /// `name` is for people: the first 23 bytes of it are kept.
  explicit SharedMutex(Place place, const char* name = "") noexcept;
  SharedMutex(const SharedMutex&) = delete;
  SharedMutex& operator=(const SharedMutex&) = delete;

  /// For writing. Errors as of Mutex::lock.
  Result<Guard> lock(Deadline deadline = never,
                     std::source_location where = std::source_location::current());
  /// The same, but `full` while others read or write.
  Result<Guard> try_lock(std::source_location where = std::source_location::current());

  /// For reading. Errors as of Mutex::lock, and `peer_died`: a writer died, and what it was writing
  /// has not been repaired.
  Result<SharedGuard> lock_shared(Deadline deadline = never,
                                  std::source_location where = std::source_location::current());
  /// The same, but `full` while another writes or waits to write, or 32 read.
  Result<SharedGuard> try_lock_shared(std::source_location where = std::source_location::current());

  const char* name() const noexcept { return name_.text; }
  bool poisoned() const noexcept { return (gate_ & poison) != 0; }
  /// How many read at this moment: for people, and for tests.
  std::uint32_t readers() const noexcept;

 private:
  struct Patience;
  struct Outcome;
  // STATE of the gate: who has the writers' lock alone changes it
  //   0         open; readers come and go
  //   intent    a writer waits for the readers that are in; new ones go to the writers' lock
  //   inside    a writer writes; if it dies, the next owner of the writers' lock makes it `suspect`
  //   suspect   a writer died inside; `intent` and `inside` come and go beside it
  //   poison    for ever
  static constexpr std::uint32_t intent = 1, inside = 2, suspect = 4, poison = 8;

  Outcome enter(const Patience& patience) noexcept;
  Outcome enter_shared(const Patience& patience) noexcept;
  Outcome wait_for_readers(const Patience& patience) noexcept;
  void mark(std::uint32_t slot) noexcept;
  std::uint32_t enter_at_once(std::uint32_t& thread) noexcept;
  Outcome take_slot(const Patience& patience) noexcept;
  Outcome take_writers_lock(const Patience& patience) noexcept;
  Outcome judged(Outcome taken) noexcept;
  void leave(std::uint32_t thread) noexcept;
  void leave_shared(std::uint32_t slot, std::uint32_t thread) noexcept;
  Error error(const Outcome& outcome, const char* operation) const;

  // LAYOUT, 2,176 bytes
  //   offset  size field      written by              read by
  //     0      40  writers_   detail/robust_lock.hpp
  //    40      40  name_      its maker               everybody
  //    80       4  gate_      owner of writers_       everybody
  //    84       4  marks_     readers, once a slot     writers: the slots that ever had a reader
  //    88      40  zero
  //   128   32*64  slots_     a reader each, writers  writers; who looks for a free one
  struct alignas(64) Slot {
    detail::RobustLock lock;
  };
  detail::RobustLock writers_;
  detail::LockName name_;
  std::atomic<std::uint32_t> gate_{0};
  std::atomic<std::uint32_t> marks_{0};
  Slot slots_[most_readers];
};
static_assert(sizeof(SharedMutex) == 128 + 32 * 64);

/// Writes, and stops at the end of its scope, in the thread that got it.
class [[nodiscard]] BULKHEAD_API SharedMutex::Guard {
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

  bool holds() const noexcept { return mutex_ != nullptr; }
  /// A writer died while it wrote, and nobody has said repaired() since. REQUIRES: holds().
  bool owner_died() const noexcept { return (mutex_->gate_ & suspect) != 0; }
  /// What the lock protects is in order again. REQUIRES: holds().
  void repaired() noexcept { mutex_->gate_ &= ~suspect; }
  void unlock() noexcept {
    if (SharedMutex* const mutex = std::exchange(mutex_, nullptr)) mutex->leave(thread_);
  }

 private:
  friend class SharedMutex;
  Guard(SharedMutex& mutex, std::uint32_t thread) noexcept : mutex_(&mutex), thread_(thread) {}

  SharedMutex* mutex_ = nullptr;
  std::uint32_t thread_ = 0;
};

/// Reads, and stops at the end of its scope, in the thread that got it.
class [[nodiscard]] BULKHEAD_API SharedMutex::SharedGuard {
 public:
  SharedGuard() = default;  // has none
  SharedGuard(SharedGuard&& other) noexcept
      : mutex_(std::exchange(other.mutex_, nullptr)), thread_(other.thread_), slot_(other.slot_) {}
  SharedGuard& operator=(SharedGuard&& other) noexcept {
    if (this != &other) {
      unlock();
      mutex_ = std::exchange(other.mutex_, nullptr);
      thread_ = other.thread_;
      slot_ = other.slot_;
    }
    return *this;
  }
  ~SharedGuard() { unlock(); }

  bool holds() const noexcept { return mutex_ != nullptr; }
  void unlock() noexcept {
    if (SharedMutex* const mutex = std::exchange(mutex_, nullptr)) {
      mutex->leave_shared(slot_, thread_);
    }
  }

 private:
  friend class SharedMutex;
  SharedGuard(SharedMutex& mutex, std::uint32_t thread, std::uint32_t slot) noexcept
      : mutex_(&mutex), thread_(thread), slot_(slot) {}

  SharedMutex* mutex_ = nullptr;
  std::uint32_t thread_ = 0;
  std::uint32_t slot_ = 0;
};

#if __cpp_exceptions
/// Lockable that std::shared_lock takes as well.
class SharedLockable : public Lockable<SharedMutex> {
 public:
  using Lockable::Lockable;

  /// Throws Failure where lock_shared() has an error.
  void lock_shared() { reads_ = or_throw(lock_->lock_shared(never, where_)); }
  bool try_lock_shared() {
    auto reads = lock_->try_lock_shared(where_);
    if (reads) reads_ = *std::move(reads);
    return reads.has_value();
  }
  void unlock_shared() noexcept { reads_.unlock(); }

 private:
  SharedMutex::SharedGuard reads_;
};
#endif

}  // namespace bulkhead

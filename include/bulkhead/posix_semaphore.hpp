// SPDX-License-Identifier: Apache-2.0
//
// PosixSemaphore: a named POSIX semaphore, sem_overview(7), which other programs find by
// sem_open("/NAME") and people in /dev/shm as sem.NAME. Take it to count with programs that have
// nothing else; between programs of yours a Semaphore in a SharedRegion is as fast and has no name.
//
// Who may call: any thread of any process, several at once. Only wait() blocks, to its deadline.
// Ownership: one that was made here ends with the last process that has it open; what killed
// processes left is removed by the next who wants the name, and by `bulkhead clean`. One that
// another program made stays until somebody removes it. In a forked child it works on.
//
// When a process dies, what it took is gone (SysvSemaphore gives back); and sem_post(3) raises the
// count and wakes in two steps: who dies between leaves a sleeper to its deadline, or to the next
// post. TRUST: equal: whoever may write the file can write anything into it.
#pragma once

#include <memory>
#include <string>

#include <bulkhead/deadline.hpp>
#include <bulkhead/detail/export.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead {

class BULKHEAD_API PosixSemaphore {
 public:
  /// The largest count.
  static constexpr unsigned most = 0x7fffffff;

  /// `name` without its slash. `exists`; `too_large` beyond `most`.
  static Result<PosixSemaphore> create(const std::string& name, unsigned count);
  /// `not_found`; `incompatible` when it is no semaphore of this C library.
  static Result<PosixSemaphore> open(const std::string& name);
  static Result<PosixSemaphore> open_or_create(const std::string& name, unsigned count);

  PosixSemaphore(PosixSemaphore&& other) noexcept;
  PosixSemaphore& operator=(PosixSemaphore&& other) noexcept;
  ~PosixSemaphore();

  /// One more. `exhausted` at `most`.
  Result<void> post();
  /// One less; waits for it to be there. `timed_out`.
  Result<void> wait(Deadline deadline = never);
  bool try_wait() noexcept;
  /// How many there are at this moment.
  unsigned value() const noexcept;

 private:
  struct Held;
  explicit PosixSemaphore(std::unique_ptr<Held> held) noexcept;

  std::unique_ptr<Held> held_;
};

}  // namespace bulkhead

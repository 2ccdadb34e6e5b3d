// SPDX-License-Identifier: Apache-2.0
//
// SysvSemaphore: a System V semaphore, sysvipc(7): a count in the kernel, found by a number, that gives
// back what a dead holder had. Each operation is a system call: take it where undo is wanted or
// where other programs have such semaphores; else a Semaphore in a SharedRegion is faster.
//
//   auto seats = or_exit(SysvSemaphore::open_or_create(0x5EA75, 4));
//   or_exit(seats.wait(1s));       // one of four; post() gives it back, and so does SIGKILL
//
// Who may call: any thread, several at once; all of a process count as one holder. Only wait()
// blocks, to its deadline. In a forked child this object works, and holds nothing of its parent's.
// Making one waits for who removes the same at this moment: two seconds at most.
// Ownership: it ends with the last process that has it open. When that one was killed it stays
// until the next who makes one of that key makes it anew, or `bulkhead clean`; a maker that is killed
// half-way is replaced. TRUST: the kernel's rules: whoever has the user's rights can change it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <sys/types.h>

#include <bulkhead/deadline.hpp>
#include <bulkhead/detail/export.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead {

namespace os {
class NameRecord;
}

class BULKHEAD_API SysvSemaphore {
 public:
  /// What happens at a process's death with what it took more than it gave, or gave more.
  enum class Undo : std::uint8_t {
    at_death,  ///< is given back, or taken: for seats, licences, locks
    none,      ///< stays: for one who gives and another who takes
  };
  /// The largest count, and the most that one process may be short of.
  static constexpr unsigned most = 32767;

  /// A new one. `exists` while another process has one of that key, `too_large` beyond `most`.
  static Result<SysvSemaphore> create(key_t key, unsigned count, Undo undo = Undo::at_death);
  /// `not_found` when no process has one of that key, `incompatible` when it is no SysvSemaphore.
  static Result<SysvSemaphore> open(key_t key, Undo undo = Undo::at_death);
  static Result<SysvSemaphore> open_or_create(key_t key, unsigned count,
                                              Undo undo = Undo::at_death);
  /// One of a set that another program made and removes.
  static Result<SysvSemaphore> attach(key_t key, unsigned short number, Undo undo = Undo::at_death);

  SysvSemaphore(SysvSemaphore&& other) noexcept;
  SysvSemaphore& operator=(SysvSemaphore&& other) noexcept;
  ~SysvSemaphore();

  /// One more. `exhausted` at `most`.
  Result<void> post();
  /// One less; waits for it to be there. `timed_out`; `closed` when somebody removed it.
  Result<void> wait(Deadline deadline = never);
  /// `empty` when there is none.
  Result<void> try_wait();
  /// How many there are at this moment.
  Result<unsigned> value() const;

 private:
  SysvSemaphore(key_t key, int set, unsigned short number, Undo undo) noexcept;
  static SysvSemaphore used(key_t key, int set, Undo undo,
                            std::unique_ptr<os::NameRecord> record) noexcept;
  void close() noexcept;
  Result<void> change(short by, Deadline deadline);
  Error failed(const char* operation) const;

  key_t key_;
  int set_;
  unsigned short number_;
  Undo undo_;
  pid_t user_ = 0;  // the process that is counted among the users; 0 for another program's
  std::unique_ptr<os::NameRecord> record_;
};

}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
//
// Diagnosing of locks: with it on, a deadlock is named and not waited for, and everybody can see who
// has which lock and who waits for it.
//
//   or_exit(diagnose_locks());          // or BULKHEAD_DIAGNOSE_LOCKS=1 in the environment
//   auto guard = account.lock.lock();   // `deadlock`, and its sentence:
//   lock "b": deadlock: transfer (4711) thread 4711 has "a" (transfer.cpp:31) and waits for "b"
//   (transfer.cpp:32); audit (4712) thread 4712 has "b" (audit.cpp:12) and waits for "a" (audit.cpp:13)
//
// A circle of waits across threads and processes is `deadlock` for the one that would close it in any
// case: the kernel sees it. Diagnosing says of which programs, threads, locks and lines it is made.
// An option of a process, off at first; it stays on until the process ends. Off, it costs a load or
// two a lock. On, each process writes what its threads have and wait for on a board, a file in the
// runtime directory, and reads those of this user's other processes when a wait has failed. Seen are
// the locks with an owner (Mutex, SharedMutex) of processes that diagnose.
//
// Any thread may call these, at any time. Nothing here waits for another process. A process that is
// killed leaves its board, which nobody believes from then on, and which the next board made or
// `bulkhead clean` removes. Where a board cannot be had or written (no room, no descriptor), locks
// work as without. Its process maps it: a program of this user that cuts it ends that process with
// SIGBUS, unless guard_mappings() was called before.
// TRUST: boards are files of this user in a folder of this user's alone; what is in them never makes
// a reader crash or hang, but is believed: equal trust, as the locks are.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include <bulkhead/detail/export.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead {

/// From now on in this process. `denied`, `exhausted` when it cannot have a board. Locks that are
/// held already are not seen.
BULKHEAD_API Result<void> diagnose_locks();
BULKHEAD_API bool diagnoses_locks() noexcept;

/// What the boards of this user's running processes say.
struct LockReport {
  struct Thread {
    pid_t process = 0;
    std::string program;
    pid_t thread = 0;
    std::string name;  ///< of the thread
  };

  struct Lock {
    std::uint64_t region = 0;  ///< SharedRegion::identity()
    std::uint64_t offset = 0;
    std::string name;

    friend bool operator==(const Lock& a, const Lock& b) noexcept {
      return a.region == b.region && a.offset == b.offset;
    }
  };

  /// A thread that has a lock, or waits for it.
  struct Use {
    Thread who;
    std::string file;  ///< of the call, the end of its path
    std::uint32_t line = 0;
    bool shared = false;      ///< as a reader
    std::uint32_t depth = 1;  ///< how often it has it
    std::chrono::nanoseconds lasts{0};
    /// Of a waiter with a deadline: what is left.
    std::optional<std::chrono::nanoseconds> left{};
    /// Of a waiter: how often others got the lock since it waits, as far as that can be seen.
    std::uint64_t passed_over = 0;
  };

  struct State {
    Lock lock;
    std::vector<Use> owners;
    std::vector<Use> waiters;  ///< the longest first
  };

  /// What has been seen at a lock since its process began, the longest time of it.
  struct Seen {
    enum class Kind : std::uint8_t {
      long_wait,   ///< the longest wait for it, and how many there were
      inversion,   ///< a thread waited for one of lower priority, `whom`
      starvation,  ///< others got the lock more than a hundred times while this one waited
    };
    Kind kind = Kind::long_wait;
    Lock lock;
    Thread who;
    std::string file;
    std::uint32_t line = 0;
    std::chrono::nanoseconds longest{0};
    std::uint32_t times = 0;
    std::uint64_t passed_over = 0;
    pid_t whom = 0;  ///< a thread
  };

  struct Process {
    pid_t process = 0;
    std::string program;
    std::uint32_t threads = 0;  ///< that have used a lock and live
    std::uint32_t unseen = 0;  ///< threads and locks for which its board or this report has no room
  };

  std::vector<Process> processes;
  std::vector<State> locks;  ///< that somebody has or waits for; the longest wait first
  std::vector<Seen> seen;    ///< the longest first
  /// Files that are in use as boards and cannot be read: damaged, or of another version.
  std::vector<std::string> unreadable;
};

/// "long wait", "priority inversion", "starvation"
BULKHEAD_API std::string_view to_string(LockReport::Seen::Kind kind) noexcept;

/// Disturbs nobody. Each thread as it was in one moment, but not all in the same. `exhausted` when no
/// descriptor is left to look.
BULKHEAD_API Result<LockReport> report_locks();

}  // namespace bulkhead

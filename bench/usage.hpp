// SPDX-License-Identifier: Apache-2.0
//
// What a slice costs beside time: context switches and processor time of the calling thread, and,
// where the kernel lets us count them, its system calls.
#pragma once

#include <cstdint>
#include <optional>

namespace bulkhead::bench {

struct Usage {
  std::uint64_t switches =
      0;  // sleeps, yields, and being pushed off the core by the one just woken
  std::uint64_t preempted = 0;  // those of them that were not its own wish
  std::uint64_t cpu_ns = 0;
  std::uint64_t calls = 0;  // zero unless counted

  Usage operator-(const Usage& before) const noexcept {
    return {switches - before.switches, preempted - before.preempted, cpu_ns - before.cpu_ns,
            calls - before.calls};
  }
};

/// Counts the system calls of the thread that opened it, with the kernel's own trace point. Needs
/// the right to read it (root, or a relaxed perf_event_paranoid and a readable tracefs). While one
/// is open every system call on the machine is a little slower, hence only in runs that are not
/// timed.
class CallCounter {
 public:
  CallCounter() = default;
  CallCounter(const CallCounter&) = delete;
  CallCounter& operator=(const CallCounter&) = delete;
  ~CallCounter();

  /// Whether this machine lets us count at all.
  static bool available();

  bool open();
  /// System calls so far, the reading of the counter not among them.
  std::uint64_t read();

 private:
  int fd_ = -1;
  std::uint64_t reads_ = 0;
};

Usage thread_usage(CallCounter* calls);

}  // namespace bulkhead::bench

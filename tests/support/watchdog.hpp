// SPDX-License-Identifier: Apache-2.0
//
// The watchdog: no test runs for ever. When a test's time is over, it prints the test's name, what
// the test said that it waits for, and every thread's place (kernel wait channel, system call,
// stack), and aborts the process. It is a timer and a signal, not a thread, so that a test process
// has no more threads than the code under test started.
#pragma once

#include <string_view>

namespace bulkhead::test {

/// Says, for as long as it lives, what the present scope waits for. Any thread; at most 64 at once.
///
///   Waiting waiting{"the child's first message"};
///   auto message = channel.receive(never);
class Waiting {
 public:
  explicit Waiting(std::string_view what);
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting();

 private:
  int slot_;
};

/// The same as an expression: `auto waiting = waiting_for("...")`.
inline Waiting waiting_for(std::string_view what) { return Waiting{what}; }

/// Once, before the first test.
void install_watchdog();

/// Gives the test `name` its time: 60 s, five times that under a sanitizer, or
/// BULKHEAD_TEST_LIMIT_S seconds.
void watch(std::string_view name);

/// The test has ended.
void unwatch();

}  // namespace bulkhead::test

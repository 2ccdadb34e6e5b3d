// SPDX-License-Identifier: Apache-2.0
//
// Layer calls: the system-call filter, an allow-list. seccomp(2), through libseccomp.
//
// What is on the list goes through; most else raises SIGSYS, so that the death names the call. In
// between are calls that libraries make only to ask whether they can: those get an errno, as
// nothing is lost by answering. Numbers newer than this file get ENOSYS, so that libc falls back to
// what it did before them. The entry points of other architectures (int 0x80, x32) kill at once.
#pragma once

#include <string>
#include <vector>

#include <bulkhead/result.hpp>
#include <bulkhead/sandbox.hpp>

namespace bulkhead::sandbox {

/// What the filter does with a call; `by_argument` when it looks at its arguments first.
enum class Verdict : std::uint8_t { allow, by_argument, answer, unknown, violation };

struct Rule {
  int number = 0;
  Verdict verdict = Verdict::violation;
  int answer = 0;  ///< errno, for `answer` and `unknown`
};

/// What the filter for `sandbox` says about each call number from 0, for documentation and tests.
std::vector<Rule> verdicts(const Sandbox& sandbox);

/// Loads the filter into the calling thread, for good. Needs no_new_privs.
Result<void> filter_calls(const Sandbox& sandbox);

/// The process has a filter, by prctl(2).
bool calls_are_filtered();

}  // namespace bulkhead::sandbox

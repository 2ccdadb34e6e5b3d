// SPDX-License-Identifier: Apache-2.0
//
// The self-test: what a sandboxed process must be refused is tried in a real one, of the real role
// with its real sandbox, one process for each attempt. For about:sandbox and --self-test.
//
//   auto results = self_test([](std::string attempt) {
//     return spawn<renderer_main>({.sandbox = ..., .arguments = arguments(attempt)});
//   });
//
// A role takes part by an argument of type std::string, empty normally: when it is not, the role
// prepares as always and then calls run_attempt with it.
//
// Blocks for as long as the processes take: for a thread of its own, not for an event loop.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <bulkhead/exit.hpp>
#include <bulkhead/process.hpp>
#include <bulkhead/result.hpp>

namespace porthole {

struct Attempt {
  std::string_view name;
  /// For people: "open a file".
  std::string_view words;
};

/// All that is tried.
std::span<const Attempt> attempts() noexcept;

/// Before an attempt's name: in the first stage of a sandbox that has two.
inline constexpr std::string_view while_loading = "while-loading:";

/// In the role: tries it and ends this process; how it ends tells what came of it. What is tried
/// does no harm where it succeeds.
[[noreturn]] void run_attempt(std::string_view name);

struct AttemptResult {
  enum class Verdict : std::uint8_t {
    refused,
    allowed,  ///< it was possible: the sandbox has a hole
    unclear,  ///< it could not be tried, or the process ended otherwise
  };

  std::string name{};
  std::string words{};
  Verdict verdict = Verdict::unclear;
  /// "ended at: openat", "EPERM", "it succeeded".
  std::string how{};

  friend bool operator==(const AttemptResult&, const AttemptResult&) = default;
};

/// What an attempt's end says about it.
AttemptResult judge(const Attempt& attempt, const bulkhead::Exit& exit);

/// Starts a process of the role that shall make the attempt.
using SpawnForAttempt = std::function<bulkhead::Result<bulkhead::Process>(std::string attempt)>;

/// An error only when no process can be started at all.
bulkhead::Result<std::vector<AttemptResult>> self_test(const SpawnForAttempt& spawn_for);

/// "refused"
std::string_view to_string(AttemptResult::Verdict verdict) noexcept;

}  // namespace porthole

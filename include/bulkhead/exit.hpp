// SPDX-License-Identifier: Apache-2.0
//
// Exit: how a process ended, as one value. It prints itself: "SIGSEGV at 0x10", "exit code 3",
// "sandbox violation: openat", "out of memory (limit 256 MiB)".
//
// Where it comes from: the exit status is the kernel's (waitid on a pidfd) and cannot be forged.
// The fault address, the name of a forbidden system call and "out of memory" are what the dying
// process reported in its last moment: a hostile one can report something else of itself.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>

#include <bulkhead/detail/export.hpp>

namespace bulkhead {

struct BULKHEAD_API Exit {
  enum class Cause : std::uint8_t {
    code,               ///< it exited by itself; `code` says with what
    signal,             ///< a signal ended it; `signal` and, for faults, `fault_address`
    out_of_memory,      ///< it, or the kernel for it, ran out of memory; `detail` names the limit
    resource_limit,     ///< a limit of time or size; `detail` names which
    sandbox_violation,  ///< it made a forbidden system call; `detail` names it
    hang,               ///< it did not answer or end in time and was killed; `detail` says when
    never_started,      ///< it died before its role began; `detail` says why
    unknown,            ///< somebody else took its exit status; `detail` says who, if known
  };

  Cause cause = Cause::unknown;
  int code = 0;
  int signal = 0;
  std::optional<std::uint64_t> fault_address{};
  std::string detail{};

  static Exit exited(int code) { return {.cause = Cause::code, .code = code}; }
  static Exit killed(int signal, std::optional<std::uint64_t> fault_address = {}) {
    return {.cause = Cause::signal, .signal = signal, .fault_address = fault_address};
  }
  static Exit of(Cause cause, std::string detail = {}) {
    return {.cause = cause, .detail = std::move(detail)};
  }

  /// Exit code 0, by its own decision.
  bool success() const noexcept { return cause == Cause::code && code == 0; }

  friend bool operator==(const Exit&, const Exit&) = default;
};

/// "SIGSEGV at 0x10"
BULKHEAD_API std::string to_string(const Exit& exit);
BULKHEAD_API std::ostream& operator<<(std::ostream& out, const Exit& exit);

/// "SIGKILL"; "signal 77" for one without a name.
BULKHEAD_API std::string signal_name(int signal);

}  // namespace bulkhead

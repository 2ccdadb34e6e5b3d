// SPDX-License-Identifier: Apache-2.0
//
// The profile: which calls a declaration allows, as data. calls.cpp turns it into a filter. A call
// that appears nowhere here is a violation.
//
// Never on any list, whatever is declared: io_uring (goes around the filter), ptrace, process_vm_*,
// pidfd_getfd, bpf, userfaultfd, perf_event_open, keyctl, kexec, modules, mounts, namespaces, exec
// and fork; seccomp and Landlock only where a second stage is declared.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <bulkhead/sandbox.hpp>

namespace bulkhead::sandbox {

/// One condition on one argument: (argument & mask) == value, or != value.
struct Condition {
  enum class Test : std::uint8_t { masked_equal, not_equal };
  unsigned argument = 0;
  Test test = Test::masked_equal;
  std::uint64_t mask = ~std::uint64_t{0};
  std::uint64_t value = 0;
};

/// Lets `call` through when all conditions hold, or answers it with `answer` when that is not 0.
struct Entry {
  std::string_view call;
  std::vector<Condition> conditions{};
  int answer = 0;
};

/// In the terms of this process: some entries name its pid.
std::vector<Entry> profile(const Sandbox& sandbox);

/// The newest call number of this architecture that the profile's author knew.
extern const int newest_known_call;

}  // namespace bulkhead::sandbox

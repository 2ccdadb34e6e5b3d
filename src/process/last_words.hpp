// SPDX-License-Identifier: Apache-2.0
//
// What a dying child still says: a fault's address, the system call that the sandbox forbids, that
// memory ran out, which exception nobody caught. It goes to the parent in one packet, and the child
// then dies as it would have; how it died is the kernel's word, these are the details.
//
// In the child: handlers for SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS and SIGABRT, and for
// std::terminate; only in processes that spawn started, and before the role, which may replace
// them. The main thread has an alternate stack, so that a stack overflow can be told; in another
// thread that has none it is told without its address.
// TRUST: a hostile child can say what it likes about itself, and no more than that: the packet has
// one size, and its text is cut and cleaned.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <bulkhead/exit.hpp>
#include <bulkhead/fd.hpp>
#include <bulkhead/sandbox.hpp>

#include "os/pidfd.hpp"

namespace bulkhead::process {

// LAYOUT LastWords, one packet; written by the child, read by the parent once the child is dead
//   0  kind         u32
//   4  signal       i32
//   8  code         i32  si_code
//   12 system_call  i32  of SIGSYS
//   16 address      u64  si_addr
//   24 text         zero-terminated; an exception's type and words
struct LastWords {
  enum Kind : std::uint32_t { none, fault, out_of_memory, exception };

  std::uint32_t kind = none;
  std::int32_t signal = 0;
  std::int32_t code = 0;
  std::int32_t system_call = -1;
  std::uint64_t address = 0;
  char text[232] = {};
};
static_assert(sizeof(LastWords) == 256);

/// In the child: from now on its death is told through `socket`, which stays open.
void tell_death_through(FdView socket);

/// In the parent, when the child is dead: what it said, if anything.
std::optional<LastWords> hear(FdView socket);

/// The Exit that follows from the kernel's word and the child's.
Exit judge(const os::Ending& ending, const std::optional<LastWords>& words,
           const Sandbox::Limits& limits);

}  // namespace bulkhead::process

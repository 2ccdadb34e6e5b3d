// SPDX-License-Identifier: Apache-2.0
//
// The floors: what the machine itself asks for each thing that a message or a process start is made
// of.
#pragma once

#include <cstddef>
#include <memory>

#include "bench/placement.hpp"
#include "bench/variant.hpp"

namespace bulkhead::bench {

/// A cache line there and back between two polling sides; on one core they yield in between.
std::unique_ptr<Variant> cache_line(Placement placement);
/// The same with a pause between two polls, which is quicker on some machines: the floor is the better
/// of the two.
std::unique_ptr<Variant> cache_line_with_pauses();

/// Futex ping-pong: both sides always sleep.
std::unique_ptr<Variant> futex_ping_pong(Placement placement);

/// memcpy from one private buffer into another, both in cache where they fit.
std::unique_ptr<Variant> memory_copy(std::size_t bytes);

/// A system call that does nothing.
std::unique_ptr<Variant> system_call();

/// Start of nothing, until it is reaped: a thread; a process by fork; a process by vfork and exec
/// of this very program, which leaves at once.
std::unique_ptr<Variant> thread_start();
std::unique_ptr<Variant> fork_start();
std::unique_ptr<Variant> exec_start();

/// The first argument with which exec_start() runs this program; main leaves with 0 when it sees
/// it.
inline constexpr const char* leave_at_once = "--leave-at-once";

}  // namespace bulkhead::bench

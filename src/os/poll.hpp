// SPDX-License-Identifier: Apache-2.0
//
// Waiting for descriptors until a Deadline, whatever signals arrive.
#pragma once

#include <poll.h>
#include <span>

#include <bulkhead/deadline.hpp>
#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::os {

/// Means "do not wait" where a Deadline is asked for: calls answer `full` or `empty`.
inline constexpr Deadline no_wait{Deadline::Clock::time_point::min()};

/// The number of descriptors with events; 0 when the deadline came first.
Result<int> poll(std::span<pollfd> fds, Deadline deadline);

/// The events of one descriptor; 0 when the deadline came first.
Result<short> poll_one(FdView fd, short events, Deadline deadline);

}  // namespace bulkhead::os

// SPDX-License-Identifier: Apache-2.0
//
// What a lock that was not got says to people: its name, who has it, what would help.
#pragma once

#include <bulkhead/detail/robust_lock.hpp>
#include <bulkhead/error.hpp>
#include <bulkhead/place.hpp>

#include "memory/robust_lock.hpp"

namespace bulkhead::memory {

/// The name of the lock at `at`.
detail::LockName name_of(const Place& place, const void* at, const char* text) noexcept;

/// Why locking failed; `outcome` is any but `locked`. Reads the name of the owner's thread.
Error lock_error(LockOutcome outcome, const detail::LockName& name, const RobustLock& lock);

}  // namespace bulkhead::memory

// SPDX-License-Identifier: Apache-2.0
//
// The SIGBUS guard: makes an error value of what the kernel answers with a signal: touching a mapped
// file behind its end, because somebody has cut it since, or because the disk under it has failed.
//
// Opt-in, for the handler of a signal belongs to the program. Once guard_mappings() was called,
// every Region and SharedRegion mapped afterwards over something that others can cut is watched.
// Where such a page is touched after it is gone, this process gets a page of zeros in its place, a
// copy of its own, and goes on; check() of the region says `corrupt` from then on. So: use the
// bytes, then check(), then believe them. Any other SIGBUS goes to the handler that was there before.
//
// Any thread, any number of times. A program that sets a handler of its own later loses the guard.
#pragma once

#include <bulkhead/detail/export.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead {

/// For the life of this process, children by fork included.
BULKHEAD_API Result<void> guard_mappings();

}  // namespace bulkhead

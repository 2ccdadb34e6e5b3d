// SPDX-License-Identifier: Apache-2.0
//
// The futex calls of the bench, shared between processes. Raw on purpose: they are the floor of
// what sleeps.
#pragma once

#include <atomic>
#include <cstdint>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bulkhead::bench {

using Word = std::atomic<std::uint32_t>;
static_assert(sizeof(Word) == 4 && Word::is_always_lock_free);

inline void futex_wait(const void* word, std::uint32_t seen) noexcept {
  ::syscall(SYS_futex, word, FUTEX_WAIT, seen, nullptr, nullptr, 0);
}

inline void futex_wake(const void* word) noexcept {
  ::syscall(SYS_futex, word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

}  // namespace bulkhead::bench

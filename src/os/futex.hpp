// SPDX-License-Identifier: Apache-2.0
//
// futex(2) on words in memory that processes share: sleeping until a word changes, and waking.
//
// A waker may be killed between the change of a word and its call to wake; whoever sleeps on the
// word would then sleep for ever. The kernel can do both in one call that no signal divides
// (FUTEX_WAKE_OP, Linux 2.6.14): add_and_wake_all and set_and_wake_all. They wake all, never one:
// the one could be killed before it does what it was woken for, and nobody would wake the next.
//
// Nothing here fails: a wait may end for nothing (a signal came, the word had changed), so callers
// look again in a loop. Timed by the monotonic clock, whatever happens to the wall clock.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include <bulkhead/deadline.hpp>

namespace bulkhead::os {

using FutexWord = std::atomic<std::uint32_t>;
static_assert(sizeof(FutexWord) == 4 && FutexWord::is_always_lock_free);

/// Sleeps while the word is `seen`. False when the deadline came.
bool futex_wait(const FutexWord& word, std::uint32_t seen, Deadline deadline) noexcept;

/// Wakes all who sleep on the word now. For when the word need not change.
void futex_wake_all(const FutexWord& word) noexcept;

/// Adds to the word and wakes all who slept on it, at once: nobody sees the one without the other,
/// a killed caller has done both or neither. -2048 <= `summand` <= 2047.
void futex_add_and_wake_all(FutexWord& word, int summand) noexcept;

/// The same with the new value. 0 <= `value` <= 2047.
void futex_set_and_wake_all(FutexWord& word, int value) noexcept;

/// Clears one bit of the word, 0 to 31, and wakes all who slept on it, at once.
void futex_clear_and_wake_all(FutexWord& word, unsigned bit) noexcept;

/// A word and what it was.
struct FutexSeen {
  const FutexWord* word;
  std::uint32_t seen;
};

/// Sleeps while each word is what was seen. False when the deadline came; nothing on Linux before
/// 5.16, which cannot. At most 128 words.
std::optional<bool> futex_wait_any(std::span<const FutexSeen> words, Deadline deadline) noexcept;

}  // namespace bulkhead::os

// SPDX-License-Identifier: Apache-2.0
//
// futex(2) on words that have an owner: priority-inheriting locks, as the kernel knows them.
//
// STATE of a word; `id` is the thread that has it
//   0               --lock by compare-and-swap-->        id
//   0               <--unlock by compare-and-swap--      id
//   id              --another waits: the kernel-->       id | waiters
//   id | waiters    --unlock, by the kernel-->           the next one's id [| waiters], which wakes
//   id [| waiters]  --the owner dies: the kernel-->      died, or the next one's id | died [| waiters]
//   died            --lock, by the kernel-->             id | died
//   id | died ...   --its new owner has noted it-->      without died
// The kernel hands a word over: nobody comes between an unlock and the one who waited longest of
// those with the highest priority, and an owner runs with the priority of who waits for it.
#pragma once

#include <cstdint>
#include <linux/futex.h>

#include <bulkhead/deadline.hpp>

#include "os/futex.hpp"

namespace bulkhead::os {

inline constexpr std::uint32_t pi_owner = FUTEX_TID_MASK;
inline constexpr std::uint32_t pi_died = FUTEX_OWNER_DIED;

enum class PiOutcome : std::uint8_t {
  owned,      ///< the word is the caller's, with or without `pi_died`
  busy,       ///< another has it
  timed_out,  ///< the deadline came
  deadlock,   ///< who has it waits, in the end, for the caller
  exhausted,  ///< the kernel has no memory for a waiter
  nobody,     ///< the word names no thread that could ever give it up, or is no lock's word
  unsupported,
};

/// Waits for the word. Never `busy`.
PiOutcome pi_lock(FutexWord& word, Deadline deadline) noexcept;
/// For a word that is not 0 and names nobody.
PiOutcome pi_try_lock(FutexWord& word) noexcept;
/// Hands the word, which is the caller's, to who waits. False when the kernel knows of no waiter.
bool pi_unlock(FutexWord& word) noexcept;

}  // namespace bulkhead::os

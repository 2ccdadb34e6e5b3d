// SPDX-License-Identifier: Apache-2.0
//
// RobustLock: what a lock with an owner is in shared memory. src/memory/robust_lock.hpp works it.
//
// LAYOUT, 40 bytes; the word and the links stand where pthread_mutex_t has its own, for both are in
// one list (src/os/robust_list.hpp)
//   offset size field     written by           read by
//    0     4    word      everybody, kernel    everybody, kernel  the owner, src/os/pi_futex.hpp
//    4     4    state     the owner            everybody          of what the lock protects
//    8     4    depth     the owner            the owner          how often it has it
//   12     4    kind      its maker            everybody          1: the owner may lock again
//   16     8    turns     the owner            everybody          how often it was given up
//   24     8    previous  the owner            the owner          links of the owner's robust list
//   32     8    next      the owner            the owner, kernel
//
// STATE of `state`; each arrow by the owner
//   sound     --locks, and its previous owner had died-->   suspect
//   suspect   --repaired()-->                               sound
//   suspect   --unlocks without repaired()-->               poisoned, for ever
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace bulkhead::detail {

/// The links of a lock in the list of the thread that has it: addresses in that process, of `next`
/// fields. Volatile: a kill may come between any two stores, and the kernel then reads them.
struct RobustLinks {
  volatile std::uint64_t previous = 0;
  volatile std::uint64_t next = 0;
};

struct RobustLock {
  static constexpr std::uint32_t sound = 0;
  static constexpr std::uint32_t suspect = 1;
  static constexpr std::uint32_t poisoned = 2;

  std::atomic<std::uint32_t> word{0};
  std::atomic<std::uint32_t> state{sound};
  std::uint32_t depth = 0;
  std::uint32_t kind = 0;
  std::atomic<std::uint64_t> turns{0};
  RobustLinks links{};
};
static_assert(sizeof(RobustLock) == 40 && alignof(RobustLock) == 8);
static_assert(offsetof(RobustLock, word) == 0 && offsetof(RobustLock, state) == 4);
static_assert(offsetof(RobustLock, depth) == 8 && offsetof(RobustLock, kind) == 12);
static_assert(offsetof(RobustLock, turns) == 16 && offsetof(RobustLock, links) == 24);

/// Which lock, in the words of all processes that see it.
struct LockName {
  std::uint64_t region = 0;  ///< Place::region()
  std::uint64_t offset = 0;  ///< Place::offset_of(the lock)
  char text[24]{};           ///< ends with a zero byte
};
static_assert(sizeof(LockName) == 40);

}  // namespace bulkhead::detail

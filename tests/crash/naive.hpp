// SPDX-License-Identifier: Apache-2.0
//
// Textbook primitives in shared memory, as a program might have them: correct while everybody lives,
// and keeps to the rules. They are here to be found out; see crash_naive_test.cpp and
// adversary_test.cpp.
#pragma once

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bulkhead::crash {

/// A bounded queue for many producers after Dmitry Vyukov: a cell is claimed, filled, published.
/// Who dies between the first and the last leaves a cell that is never published, and nobody gets
/// past it.
struct NaiveRing {
  static constexpr std::uint64_t cells = 8;
  struct Cell {
    std::atomic<std::uint64_t> sequence;
    std::uint64_t value;
  };

  std::atomic<std::uint64_t> tail;
  std::atomic<std::uint64_t> head;
  std::array<Cell, cells> ring;

  void prepare() {
    for (std::uint64_t i = 0; i < cells; ++i) ring[i].sequence = i;
  }
  bool try_push(std::uint64_t value) {
    std::uint64_t at = tail;
    for (;;) {
      Cell& cell = ring[at % cells];
      const std::uint64_t sequence = cell.sequence;
      if (sequence < at) return false;
      if (sequence == at && tail.compare_exchange_strong(at, at + 1)) {
        cell.value = value;
        cell.sequence = at + 1;
        return true;
      }
      if (sequence != at) at = tail;
    }
  }
  bool try_pop(std::uint64_t& value) {
    const std::uint64_t at = head;
    Cell& cell = ring[at % cells];
    if (cell.sequence != at + 1) return false;
    value = cell.value;
    cell.sequence = at + cells;
    head = at + 1;
    return true;
  }
};

/// A queue behind a lock: who dies with it keeps it.
struct NaiveQueue {
  static constexpr std::uint64_t most = 8;

  std::atomic<std::uint32_t> locked;
  std::uint64_t pushed;
  std::uint64_t popped;
  std::array<std::uint64_t, most> values;

  void prepare() {}
  bool try_push(std::uint64_t value) {
    if (!lock()) return false;
    const bool room = pushed - popped < most;
    if (room) values[pushed++ % most] = value;
    locked = 0;
    return room;
  }
  bool try_pop(std::uint64_t& value) {
    if (!lock()) return false;
    const bool any = pushed != popped;
    if (any) value = values[popped++ % most];
    locked = 0;
    return any;
  }

 private:
  /// Gives up after so many tries that a live owner would long have let go.
  bool lock() {
    for (int tries = 0; tries < 10'000; ++tries) {
      if (locked.exchange(1) == 0) return true;
    }
    return false;
  }
};

/// The same behind a lock that knows its owner, and takes itself over from one that is dead. Who dies
/// between the claim and its name keeps it; and nobody is told what was half done.
struct NaiveOwnedQueue {
  static constexpr std::uint64_t most = 8;

  std::atomic<std::uint32_t> locked;
  std::atomic<pid_t> owner;
  std::uint64_t pushed;
  std::uint64_t popped;
  std::array<std::uint64_t, most> values;

  void prepare() {}
  bool try_push(std::uint64_t value) {
    if (!lock()) return false;
    const bool room = pushed - popped < most;
    if (room) values[pushed++ % most] = value;
    unlock();
    return room;
  }
  bool try_pop(std::uint64_t& value) {
    if (!lock()) return false;
    const bool any = pushed != popped;
    if (any) value = values[popped++ % most];
    unlock();
    return any;
  }

 private:
  bool lock() {
    for (int tries = 0; tries < 1'000; ++tries) {
      if (locked.exchange(1) == 0 || (owner != 0 && ::kill(owner, 0) != 0)) {
        owner = ::getpid();
        return true;
      }
    }
    return false;
  }
  void unlock() {
    owner = 0;
    locked = 0;
  }
};

/// A semaphore on a futex. It wakes one for each token: if that one dies before it has taken it, the
/// others sleep beside it.
struct NaiveSemaphore {
  std::atomic<std::uint32_t> tokens;
  std::atomic<std::uint32_t> sleepers;

  void post() {
    ++tokens;
    if (sleepers != 0) ::syscall(SYS_futex, &tokens, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }
  void wait() {
    for (;;) {
      std::uint32_t seen = tokens;
      while (seen != 0) {
        if (tokens.compare_exchange_weak(seen, seen - 1)) return;
      }
      ++sleepers;
      ::syscall(SYS_futex, &tokens, FUTEX_WAIT, 0, nullptr, nullptr, 0);
      --sleepers;
    }
  }
};

/// A message whose size is looked at twice.
struct TwiceFetched {
  volatile std::uint32_t size;
  std::array<char, 256> bytes;

  bool take(char* into, std::uint32_t room) {
    if (size > room) return false;
    std::memcpy(into, bytes.data(), size);
    return true;
  }
};

}  // namespace bulkhead::crash

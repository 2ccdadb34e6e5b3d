// SPDX-License-Identifier: Apache-2.0
//
// The board of this process, and the calling thread's entry on it: the writing side (board.hpp).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <bulkhead/result.hpp>

#include "memory/diagnosing/board.hpp"
#include "memory/diagnosing/diagnosing.hpp"

namespace bulkhead::memory::diagnosing {

/// Makes this process's board unless it has one. Any thread. The board goes when the process exits;
/// a forked child has none until it locks.
Result<void> make_own_board();
/// Where it lies, and the others.
std::string own_board_folder();

/// CLOCK_MONOTONIC in nanoseconds; `coarse`: as of the last tick, at a fraction of the price.
std::int64_t now() noexcept;
std::int64_t now_coarse() noexcept;

/// A page of the board for one thread, reserved; makes the board first where there is none.
struct Room {
  std::uint32_t index;
  std::byte* page;
};
std::optional<Room> take_room() noexcept;
void give_room(std::uint32_t index) noexcept;

/// The calling thread's entry. Keeps what it wrote for itself, and never reads it back.
class OwnEntry {
 public:
  /// Null where there is no room, or the thread is ending.
  static OwnEntry* mine() noexcept;
  /// In a forked child: the parent has it, and what it noted.
  static void forget() noexcept;

  std::uint32_t index() const noexcept { return index_; }
  bool waits() const noexcept { return waits_; }
  bool has_any() const noexcept { return held_ != 0; }

  void add(const Lock& lock, std::uint32_t depth, const std::source_location& where) noexcept;
  void remove(const Lock& lock, std::uint32_t left) noexcept;
  void wait(const Lock& lock, Deadline deadline, const std::source_location& where) noexcept;
  void end_wait() noexcept;
  /// end_wait() and add() once in one.
  void obtain(const Lock& lock, const std::source_location& where) noexcept;

 private:
  friend struct ThreadEnd;
  class Writing;
  struct Kept {
    std::uint64_t region;
    std::uint64_t offset;
    Mode mode;
    std::uint32_t line;
  };
  bool move_in() noexcept;
  void move_out() noexcept;
  std::uint32_t find(const Lock& lock) const noexcept;
  void put(const Lock& lock, std::uint32_t depth, const std::source_location& where) noexcept;
  void tell_depth(std::uint32_t index, std::uint32_t depth) noexcept;

  std::byte* page_ = nullptr;
  std::uint64_t sequence_ = 0;
  std::uint32_t index_ = 0;
  std::uint32_t held_ = 0;
  std::uint32_t unnoted_ = 0;
  int tid_ = 0;
  bool waits_ = false;
  std::array<Kept, most_held> kept_{};
};

/// Something that was seen, noted once a lock and kind; the longest stays.
void notice(std::uint32_t kind, std::int64_t lasted, std::uint64_t passed, std::uint32_t whom,
            const Lock& lock, const std::source_location& where) noexcept;

}  // namespace bulkhead::memory::diagnosing

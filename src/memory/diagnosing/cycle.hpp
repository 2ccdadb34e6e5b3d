// SPDX-License-Identifier: Apache-2.0
//
// A circle of threads, of any processes, of which each waits for what the next one has.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "memory/diagnosing/boards.hpp"

namespace bulkhead::memory::diagnosing {

struct Member {
  const SeenBoard* board = nullptr;
  std::uint32_t index = 0;
  Entry entry;
  Record has;  ///< what the one before waits for
};

/// Everybody's waits, as they were seen one after the other.
class Waits {
 public:
  explicit Waits(std::vector<SeenBoard> boards);

  /// A circle through the entry of the calling thread on this process's board, that one first.
  /// Empty when there is none. The shortest.
  std::vector<Member> circle_through(std::uint32_t own_index) const;

  /// Those who have what this one waits for.
  std::vector<Member> owners(const Record& wanted) const;

 private:
  /// Waits whose owners were all found already: the next that waits so leads nowhere else. Without
  /// it, boards that say that all wait for what all have keep a reader for minutes.
  using Followed = std::set<std::tuple<std::uint64_t, std::uint64_t, std::uint16_t>>;
  std::vector<std::size_t> followers(std::size_t of, std::size_t start, Followed& done) const;

  std::vector<SeenBoard> boards_;
  std::vector<Member> threads_;
  std::vector<std::pair<std::uint64_t, std::size_t>> holders_;  // hash of a lock, thread; sorted
};

/// The circle stood in one moment after it was read, and all in it live.
bool stands(const std::vector<Member>& circle);

/// "transfer (4711) thread 4713 "writer""
std::string words_of(const Header& process, const Entry& thread);

/// "transfer (4711) thread 4711 has "a" (transfer.cpp:31) and waits for "b" (transfer.cpp:32); ..."
std::string words_of(const std::vector<Member>& circle);

}  // namespace bulkhead::memory::diagnosing

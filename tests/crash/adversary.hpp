// SPDX-License-Identifier: Apache-2.0
//
// Adversary (method M3): a peer that changes one word of what it shares with its victim, between any
// two instructions of the victim's call. What it finds, if there is any: a value that is loaded
// twice, or used without a check.
//
// A Trial's victim half runs in crash_victim, round after round: a fresh channel, Mark::begin, the
// call, Mark::end, and its own judgement of what the call gave; it says on the Board where the words
// are. The harness steps through one round, and then, in every further one, stops the victim at one
// place, changes one word to one value, lets it go on, and reads the judgement. A victim that dies or
// hangs is a violation as well.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <bulkhead/fd.hpp>

#include "crash/victim.hpp"

namespace bulkhead::crash {

/// Memory of both, descriptor 3 of the victim.
struct Board {
  static constexpr std::size_t most_words = 24;
  static constexpr std::uint32_t nothing = ~std::uint32_t{0};

  /// A word at an address of the victim, or at an offset of a file.
  struct Word {
    std::array<char, 24> name;
    std::array<char, 160> path;  ///< empty: in memory
    std::uint64_t place;
    std::uint32_t size;  ///< 4 or 8
  };

  std::uint32_t words_count;
  std::uint32_t changed;  ///< which was, in this round; or nothing
  std::array<Word, most_words> words;
  std::array<char, 512> wrong;  ///< the victim's judgement; empty: all is well

  // In the victim.
  void begin_round();
  void add(const std::string& name, const void* address, std::uint32_t size);
  void add_in_file(const std::string& name, const std::string& path, std::uint64_t offset,
                   std::uint32_t size);
  bool was_changed(std::initializer_list<const char*> names) const;
  void judge(const std::string& what);
};

struct Trial {
  std::string name;
  /// One round; calls mark() around the call.
  std::function<void(Board&)> round;
};

/// Those of the library, and those that are known to fall for it.
std::vector<Trial> trials();
std::vector<Trial> naive_trials();
/// Where trials keep files; theirs to make, the harness's to remove.
std::string attacked_folder();
/// In the victim: rounds without end.
[[noreturn]] void stand(const Trial& trial);

struct Onslaught {
  std::size_t instructions = 0;
  std::size_t places = 0;  ///< at which words were changed
  std::size_t words = 0;
  std::size_t changes = 0;  ///< places x words x values, less those that changed nothing
  std::size_t missed = 0;   ///< the victim did not come to the place again
  std::size_t violations = 0;
  std::vector<std::string> examples = {};
};

struct Vehemence {
  /// At every so manieth instruction, and before every system call; 0: only there.
  std::size_t stride = 1;
  /// No more than about so many, spread evenly over places, words and values.
  std::size_t most_changes = ~std::size_t{0};
};

/// Changes every word to each of six values at every place.
Onslaught attack(const Trial& trial, const Vehemence& how);

}  // namespace bulkhead::crash

// SPDX-License-Identifier: Apache-2.0
//
// CommandTemplate: the words of a command with places for the input. No shell reads them: what stands
// in an input is never taken for anything but text, whatever quotes, spaces or `$(...)` it has.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <bulkhead/result.hpp>

namespace bulkhead::tools::map {

/// One input and what is known of it when its command is made.
struct Place {
  std::string_view input;
  std::uint64_t number = 1;  ///< of the input, from 1
  unsigned slot = 1;         ///< of the worker, from 1: no two that run at once have the same
};

class CommandTemplate {
 public:
  /// A command without any placeholder gets the input as its last word. `invalid` for no words.
  static Result<CommandTemplate> create(const std::vector<std::string>& words);

  std::vector<std::string> words(const Place& place) const;

  /// The program's name where no placeholder is in it, else empty.
  std::string program() const;
  /// Is the worker's number a part of it? Then the same input may make other words the next time.
  bool has_slot() const noexcept;

 private:
  enum class Part : std::uint8_t { input, stem, base, folder, base_stem, number, slot };
  using Piece = std::variant<std::string, Part>;
  using Word = std::vector<Piece>;

  static Word parse(std::string_view word);
  static std::string text(Part part, const Place& place);

  std::vector<Word> words_;
};

/// As a shell would have to read it: unchanged when it is plain, else in quotes, with control
/// characters escaped. For logs and terminals.
std::string quoted(std::string_view word);
std::string quoted(const std::vector<std::string>& words);

}  // namespace bulkhead::tools::map

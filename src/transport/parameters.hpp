// SPDX-License-Identifier: Apache-2.0
//
// Parameters: what stands behind the question mark of an address, as in
// "file:///var/log/events?sync=each&keep=4". A mechanism takes those that it knows; what is left is
// a mistake of the user and refused by name.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include <bulkhead/result.hpp>

namespace bulkhead::transport {

class Parameters {
 public:
  /// Cuts them off from `name`. `invalid` when they are not key=value&key=value, or a key comes
  /// twice.
  static Result<Parameters> cut_from(std::string& name);

  /// Each takes the parameter `key`; nothing when it is not there.
  std::optional<std::string> text(std::string_view key);
  /// A whole number from `least` to `most`; `invalid` for anything else.
  Result<std::optional<std::uint64_t>> number(std::string_view key, std::uint64_t least,
                                              std::uint64_t most);
  /// "250ms", "5s", "2min"; `invalid` without a unit.
  Result<std::optional<std::chrono::milliseconds>> duration(std::string_view key);
  /// The place of its value in `choices`; `invalid`, naming the choices, for another value.
  Result<std::optional<std::size_t>> one_of(std::string_view key,
                                            std::initializer_list<std::string_view> choices);

  /// `invalid`, by name, when one is left that nobody took.
  Result<void> expect_none_left() const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace bulkhead::transport

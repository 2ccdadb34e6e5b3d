// SPDX-License-Identifier: Apache-2.0
//
// When a run ends before its inputs do: `--halt soon,fail=3`, `--halt now,success=1`,
// `--halt soon,fail=10%`. The words are GNU parallel's.
#pragma once

#include <cstdint>
#include <string>

#include <bulkhead/result.hpp>

namespace bulkhead::tools::map {

struct Counts {
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;

  std::uint64_t done() const noexcept { return succeeded + failed; }
};

class Halt {
 public:
  enum class When : std::uint8_t {
    never,
    soon,  ///< begin no more, let those that run end
    now,   ///< end those that run too
  };
  enum class What : std::uint8_t { fail, success, done };

  Halt() noexcept = default;  // never

  /// `invalid` with the grammar in words.
  static Result<Halt> parse(const std::string& text);

  /// What is to be done once so many have ended.
  When due(const Counts& counts) const noexcept;
  What what() const noexcept { return what_; }

 private:
  /// A share of those done is not looked at before so many have met it: the first failure is 100 %.
  static constexpr std::uint64_t least_for_share = 3;

  When when_ = When::never;
  What what_ = What::fail;
  std::uint64_t count_ = 0;
  unsigned percent_ = 0;  // instead of the count, when not zero
};

}  // namespace bulkhead::tools::map

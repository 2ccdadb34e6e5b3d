// SPDX-License-Identifier: Apache-2.0
//
// Output: what the programs wrote, given out whole and in the order of their inputs (or of their
// ends). The first in that order is passed on as it comes; of the others what is beyond a few MiB
// waits in a file without a name, however much it is.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <bulkhead/fd.hpp>

namespace bulkhead::tools::map {

enum class Stream : std::uint8_t { output, error };

/// Bytes aside, in memory first and in an unnamed file beyond.
class Spool {
 public:
  struct Piece {
    std::string bytes;       // in memory, or
    std::uint64_t from = 0;  // where in the file
    std::size_t size = 0;
  };

  Result<Piece> put(std::string_view bytes);
  /// Forgets it.
  void drop(const Piece& piece) noexcept;
  /// Its bytes, in parts, to `to`.
  Result<void> copy(const Piece& piece, FdView to);

 private:
  static constexpr std::size_t most_in_memory = std::size_t{16} << 20;

  Result<void> make_file();

  std::size_t in_memory_ = 0;
  Fd file_;
  std::uint64_t end_ = 0;      // of the file
  std::uint64_t in_file_ = 0;  // still wanted
};

class Output {
 public:
  enum class Order : std::uint8_t { of_inputs, of_ends };
  /// Held back until it has ended: it may have to be taken back.
  enum class Passing : std::uint8_t { at_once, when_ended };

  Output(FdView output, FdView error, Order order, Passing passing) noexcept
      : streams_{output, error}, order_(order), passing_(passing) {}

  /// In rising numbers.
  void begin(std::uint64_t number) { held_.try_emplace(number); }
  Result<void> write(std::uint64_t number, Stream stream, std::string_view bytes);
  /// What it wrote counts for nothing: it is begun anew.
  void take_back(std::uint64_t number) noexcept;
  /// Its program has ended. Calls `given_out` when all that it wrote has been given out, which may
  /// be now.
  Result<void> end(std::uint64_t number, std::function<Result<void>()> given_out);
  /// It has been ended before its time: what is held of it is dropped.
  Result<void> give_up(std::uint64_t number);
  /// Something is about to be written; for a status line to be wiped away before.
  void before_writing(std::function<void()> wipe) { wipe_ = std::move(wipe); }

 private:
  struct Piece {
    Stream stream;
    Spool::Piece bytes;
  };
  struct Held {
    std::vector<Piece> pieces;
    bool ended = false;
    std::function<Result<void>()> given_out;
  };

  bool is_first(std::uint64_t number) const noexcept {
    return order_ == Order::of_inputs && held_.begin()->first == number;
  }
  Result<void> give_out(Held& held);
  Result<void> give_first();
  FdView stream(Stream which) const noexcept { return streams_[static_cast<int>(which)]; }
  void wipe() const {
    if (wipe_) wipe_();
  }

  FdView streams_[2];
  Order order_;
  Passing passing_;
  Spool spool_;
  std::map<std::uint64_t, Held> held_;
  std::function<void()> wipe_;
};

}  // namespace bulkhead::tools::map

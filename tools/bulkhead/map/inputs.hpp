// SPDX-License-Identifier: Apache-2.0
//
// Inputs: one after the other, from the command line, a file or standard input, where they may come
// slowly or be very many. Read ahead only so far that the number of all is mostly known.
#pragma once

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <bulkhead/fd.hpp>

namespace bulkhead::tools::map {

/// Longer ones cannot be an argument of any program: MAX_ARG_STRLEN of the kernel.
inline constexpr std::size_t longest_input = 128 * 1024 - 1;

class Inputs {
 public:
  struct Input {
    std::string text;
    std::uint64_t number;  // from 1
  };

  /// Those of the command line.
  explicit Inputs(std::vector<std::string> words);
  /// Lines (empty ones are passed over), or anything ended by NUL. Calls `arrived` when next() may
  /// have more to say than before.
  Inputs(asio::io_context& loop, Fd from, char separator, std::function<void()> arrived);
  Inputs(const Inputs&) = delete;
  Inputs& operator=(const Inputs&) = delete;

  /// Empty when there is none yet, or none any more: ended() tells.
  std::optional<Input> next();
  bool ended() const noexcept { return source_ended_ && waiting_.empty(); }
  /// How many there are in all, once that is known.
  std::optional<std::uint64_t> total() const noexcept;
  /// Why it ended before its time.
  const std::optional<Error>& error() const noexcept { return error_; }
  /// No more of them.
  void stop() noexcept;

 private:
  static constexpr std::size_t read_ahead_bytes = std::size_t{16} << 20;

  void read_on();
  void read_some();
  void take(std::string_view bytes);
  void add(std::string text);
  void end(std::optional<Error> error = {});

  std::deque<Input> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::uint64_t last_number_ = 0;
  bool source_ended_ = false;
  std::optional<Error> error_;

  char separator_ = '\n';
  std::string partial_;
  std::optional<asio::posix::stream_descriptor> stream_;  // what can be waited for
  Fd file_;                                               // what never makes one wait
  asio::io_context* loop_ = nullptr;
  bool reading_ = false;
  std::function<void()> arrived_;
};

}  // namespace bulkhead::tools::map

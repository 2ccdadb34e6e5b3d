// SPDX-License-Identifier: Apache-2.0
//
// FileWatch: a descriptor that says when files may have changed: inotify, or, where that cannot be
// had (denied, used up, a file server that does not tell), a timer that says so every period.
// Readable until drain(). It can say so for nothing; it never fails to.
//
// Threads: one at a time, but for fd().
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::os {

class FileWatch {
 public:
  /// How often the timer says so, where nothing else is asked for.
  static constexpr std::chrono::milliseconds default_period{10};

  /// With `period` it is the timer from the start.
  static Result<FileWatch> create(std::optional<std::chrono::milliseconds> period = std::nullopt);

  /// Writing to the file, or in the folder, and what comes into or goes from the folder.
  Result<void> add(const std::string& path);

  FdView fd() const noexcept { return fd_; }
  bool is_timer() const noexcept { return timer_; }

  enum class Stir : std::uint8_t { none, other, named };
  /// Makes it quiet. `named` when something happened to a file of the name `interesting` in a
  /// folder, or may have.
  Stir drain(std::string_view interesting) noexcept;

 private:
  FileWatch(Fd fd, bool timer) noexcept : fd_(std::move(fd)), timer_(timer) {}
  static Result<FileWatch> of_timer(std::chrono::milliseconds period);

  Fd fd_;
  bool timer_;
};

}  // namespace bulkhead::os

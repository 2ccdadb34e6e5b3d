// SPDX-License-Identifier: Apache-2.0
//
// Progress: one line at the bottom of the terminal, wiped away before anything else is written.
//
//   [#########-----------]  912 of 2000  3 failed  0:42 left
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "tools/bulkhead/map/halt.hpp"

namespace bulkhead::tools::map {

/// As long as the terminal is wide, at most. Without a total there is neither bar nor time left.
std::string progress_line(const Counts& counts, std::optional<std::uint64_t> total,
                          std::chrono::duration<double> elapsed, std::size_t columns);

class Progress {
 public:
  explicit Progress(bool shown) noexcept : shown_(shown) {}
  ~Progress() { wipe(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  bool shown() const noexcept { return shown_; }
  void draw(const Counts& counts, std::optional<std::uint64_t> total);
  void wipe() noexcept;

 private:
  bool shown_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

}  // namespace bulkhead::tools::map

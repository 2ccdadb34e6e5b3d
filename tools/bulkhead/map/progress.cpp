// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/map/progress.hpp"

#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace bulkhead::tools::map {
namespace {

std::size_t terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string clock(double seconds) {
  const auto all = static_cast<std::uint64_t>(std::max(0.0, seconds) + 0.5);
  const auto hours = all / 3600;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, all / 60 % 60, all % 60)
                   : fmt::format("{}:{:02}", all / 60, all % 60);
}

}  // namespace

std::string progress_line(const Counts& counts, std::optional<std::uint64_t> total,
                          std::chrono::duration<double> elapsed, std::size_t columns) {
  const std::uint64_t done = counts.done();
  std::string text = total ? fmt::format("{} of {}", done, *total) : fmt::format("{} done", done);
  if (counts.failed > 0) text += fmt::format("  {} failed", counts.failed);
  if (total && done > 0 && done < *total) {
    const double each = elapsed.count() / static_cast<double>(done);
    text += fmt::format("  {} left", clock(each * static_cast<double>(*total - done)));
  }
  constexpr std::size_t bar = 20;
  if (total && *total > 0 && text.size() + bar + 4 < columns) {
    const auto full = static_cast<std::size_t>(std::min(done, *total) * bar / *total);
    text = fmt::format("[{}{}]  {}", std::string(full, '#'), std::string(bar - full, '-'), text);
  }
  // The last column makes some terminals begin a new line.
  if (text.size() >= columns) text.resize(columns > 0 ? columns - 1 : 0);
  return text;
}

void Progress::draw(const Counts& counts, std::optional<std::uint64_t> total) {
  if (!shown_) return;
  const auto elapsed = std::chrono::steady_clock::now() - begun_;
  fmt::print(stderr, "\r{}\x1b[K", progress_line(counts, total, elapsed, terminal_columns()));
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::wipe() noexcept {
  if (!drawn_) return;
  drawn_ = false;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
}

}  // namespace bulkhead::tools::map

// SPDX-License-Identifier: Apache-2.0
// Progress: when a callback is told, and the bar on a terminal.
#include <algorithm>
#include <cstdio>
#include <sys/ioctl.h>
#include <unistd.h>

#include <bulkhead/detail/pool/map.hpp>

namespace bulkhead {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds between_tellings{100};
constexpr int bar_width = 30;

std::string as_time(std::chrono::nanoseconds time) {
  const long seconds = std::chrono::ceil<std::chrono::seconds>(time).count();
  char text[32];
  if (seconds < 3600) {
    std::snprintf(text, sizeof text, "%ld:%02ld", seconds / 60, seconds % 60);
  } else {
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", seconds / 3600, seconds / 60 % 60,
                  seconds % 60);
  }
  return text;
}

/// "[#########....................]  120/500   3 failed  0:12 left"
std::string line_of(const Progress& progress) {
  std::string line = "\r";
  if (progress.total) {
    const auto total = std::max<std::size_t>(*progress.total, 1);
    const auto filled = std::min(progress.done, total) * bar_width / total;
    line += "[" + std::string(filled, '#') + std::string(bar_width - filled, '.') + "] ";
  }
  line += std::to_string(progress.done);
  if (progress.total) line += "/" + std::to_string(*progress.total);
  if (progress.failed != 0) line += "  " + std::to_string(progress.failed) + " failed";
  if (progress.total && progress.done == *progress.total) {
    return line + "  " + as_time(progress.elapsed) + "\x1b[K\n";
  }
  if (const auto left = progress.remaining()) line += "  " + as_time(*left) + " left";
  return line + "\x1b[K";
}

}  // namespace

ProgressCallback progress_bar(FdView terminal) {
  if (::isatty(terminal.native()) != 1) return [](const Progress&) {};
  return [fd = terminal.native()](const Progress& progress) {
    const std::string line = line_of(progress);
    // A terminal that is gone is no reason to stop.
    [[maybe_unused]] const auto written = ::write(fd, line.data(), line.size());
  };
}

namespace detail {

ProgressTeller::ProgressTeller(ProgressCallback callback, std::optional<std::size_t> total)
    : callback_(std::move(callback)), total_(total) {}

void ProgressTeller::tell(const PoolState& pool, std::size_t done, std::size_t failed, bool last) {
  if (!callback_ || told_last_) return;
  last = last || (total_ && done >= *total_);
  told_last_ = last;
  const auto now = Deadline::Clock::now();
  if (!last && now < next_) return;
  next_ = now + between_tellings;
  Progress progress = progress_of(pool);
  progress.done = done;
  progress.failed = failed;
  progress.total = last ? done : total_;
  progress.elapsed = now - began_;
  callback_(progress);
}

}  // namespace detail
}  // namespace bulkhead

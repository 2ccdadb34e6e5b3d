// SPDX-License-Identifier: Apache-2.0
#include "pool/retry.hpp"

#include <algorithm>
#include <cstdio>

namespace bulkhead::pool {
namespace {

using Cause = Exit::Cause;

bool is_memory(const Exit& exit) { return exit.cause == Cause::out_of_memory; }
bool is_hang(const Exit& exit) { return exit.cause == Cause::hang; }
bool is_crash(const Exit& exit) { return !is_memory(exit) && !is_hang(exit); }

/// Without what differs from one run to the next: addresses move.
std::string named(const Exit& exit) {
  if (exit.cause == Cause::signal && exit.detail.empty()) return signal_name(exit.signal);
  if (is_memory(exit)) return "out of memory";
  return to_string(exit);
}

std::string times(std::size_t count) {
  if (count == 1) return "";
  return count == 2 ? " twice" : " " + std::to_string(count) + " times";
}

}  // namespace

std::string past_limit(std::chrono::nanoseconds limit) {
  using namespace std::chrono_literals;
  if (limit % 1s == 0s) return "no result within " + std::to_string(limit / 1s) + " s";
  char text[48];
  std::snprintf(text, sizeof text, "no result within %.4g ms",
                static_cast<double>(limit.count()) / 1e6);
  return text;
}

Verdict verdict(const detail::Task& task) {
  const auto count = [&](auto which) {
    return static_cast<unsigned>(std::ranges::count_if(task.exits, which));
  };
  const Exit& last = task.exits.back();
  if (is_memory(last)) {
    const bool again = count(is_memory) <= task.retries.out_of_memory;
    return again ? Verdict::again_alone : Verdict::poisoned;
  }
  if (is_hang(last)) {
    if (count(is_hang) <= task.retries.timeouts) return Verdict::again;
    return count(is_crash) + count(is_memory) > 0 ? Verdict::poisoned : Verdict::timed_out;
  }
  return count(is_crash) <= task.retries.crashes ? Verdict::again : Verdict::poisoned;
}

std::string in_words(const std::vector<Exit>& exits) {
  std::string text;
  for (std::size_t i = 0; i < exits.size();) {
    const std::string name = named(exits[i]);
    std::size_t same = 1;
    while (i + same < exits.size() && named(exits[i + same]) == name) ++same;
    text += (text.empty() ? "" : ", then ") + name + times(same);
    i += same;
  }
  return text;
}

}  // namespace bulkhead::pool

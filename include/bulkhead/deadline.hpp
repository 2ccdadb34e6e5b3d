// SPDX-License-Identifier: Apache-2.0
//
// Deadline: until when a call may block, as a point on the monotonic clock.
//
// A parameter of this type says that the call may block. It is made implicitly from a
// std::chrono duration, converted once, and carried through nested calls, so that no layer adds
// its own time-out to the layers below. Changes of the wall clock have no effect on it.
#pragma once

#include <chrono>
#include <compare>

namespace bulkhead {

class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  /// `within` from now. Negative durations have expired; those too long to represent never do.
  template <class Rep, class Period>
  Deadline(std::chrono::duration<Rep, Period> within)  // NOLINT: implicit on purpose
      : at_(after(std::chrono::duration<double, std::nano>(within).count())) {}

  /// The point itself.
  explicit constexpr Deadline(Clock::time_point at) noexcept : at_(at) {}

  /// A deadline that does not come. No clock is read for it.
  static constexpr Deadline never() noexcept { return Deadline{Clock::time_point::max()}; }

  constexpr bool is_never() const noexcept { return at_ == Clock::time_point::max(); }
  constexpr Clock::time_point at() const noexcept { return at_; }
  bool expired() const noexcept { return !is_never() && Clock::now() >= at_; }

  /// What is left, at least zero; the largest duration for `never`.
  std::chrono::nanoseconds remaining() const noexcept {
    if (is_never()) return std::chrono::nanoseconds::max();
    const auto now = Clock::now();  // compared first: the difference from a far past overflows
    return at_ > now ? at_ - now : std::chrono::nanoseconds::zero();
  }

  friend constexpr auto operator<=>(Deadline, Deadline) noexcept = default;

 private:
  static Clock::time_point after(double nanoseconds) noexcept {
    constexpr double century = 3.2e18;
    if (nanoseconds >= century) return Clock::time_point::max();
    return Clock::now() +
           std::chrono::nanoseconds(nanoseconds > 0 ? static_cast<long long>(nanoseconds) : 0);
  }

  Clock::time_point at_;
};

/// For calls that may wait as long as it takes: the peer's death still ends them.
inline constexpr Deadline never = Deadline::never();

/// The earlier of the two.
constexpr Deadline earlier(Deadline a, Deadline b) noexcept { return a < b ? a : b; }

}  // namespace bulkhead

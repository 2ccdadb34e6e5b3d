// SPDX-License-Identifier: Apache-2.0
#include "browser/hang_watch.hpp"

#include <algorithm>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <utility>

namespace porthole {

struct HangWatch::Timer {
  explicit Timer(asio::io_context& loop) : timer(loop) {}
  asio::steady_timer timer;
};

HangWatch::HangWatch(asio::io_context& loop, HangLimits limits, Events events)
    : limits_(limits), events_(std::move(events)), timer_(std::make_shared<Timer>(loop)) {}

HangWatch::~HangWatch() = default;

void HangWatch::start() {
  if (!std::exchange(watching_, true)) ask();
}

void HangWatch::stop() {
  watching_ = false;
  timer_->timer.cancel();
  ask_again_ = false;
  asked_.reset();
}

bool HangWatch::pong(std::uint64_t token) {
  if (!asked_ || token != token_) return false;
  asked_.reset();
  if (std::exchange(ask_again_, false)) ask();
  if (std::exchange(busy_, false) && events_.busy) events_.busy(false);
  return true;
}

std::uint64_t HangWatch::ask_now() {
  if (!asked_) {
    ask();
    return token_;
  }
  // The one that is out may have been answered already.
  ask_again_ = true;
  return token_ + 1;
}

std::chrono::milliseconds HangWatch::silence() const {
  if (!asked_) return {};
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - *asked_);
}

void HangWatch::ask() {
  asked_ = Clock::now();
  ++token_;
  wait();
  events_.ping(token_);
}

// Until the next thing that can be due.
void HangWatch::wait() {
  auto next = limits_.period;
  if (asked_) {
    const auto silent = silence();
    if (!busy_) next = std::min(next, limits_.busy_after - silent);
    if (limits_.end_after) next = std::min(next, *limits_.end_after - silent);
  }
  timer_->timer.expires_after(std::max(next, std::chrono::milliseconds(1)));
  // A handler that is already on its way is not cancelled by our end.
  timer_->timer.async_wait([this, weak = std::weak_ptr(timer_)](const asio::error_code& error) {
    if (!error && !weak.expired()) look();
  });
}

void HangWatch::look() {
  if (!watching_) return;
  if (!asked_) return ask();
  const auto silent = silence();
  if (limits_.end_after && silent >= *limits_.end_after) {
    stop();
    if (events_.hung) events_.hung();
    return;
  }
  wait();
  if (!busy_ && silent >= limits_.busy_after) {
    busy_ = true;
    if (events_.busy) events_.busy(true);
  }
}

}  // namespace porthole

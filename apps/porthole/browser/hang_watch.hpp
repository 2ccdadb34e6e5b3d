// SPDX-License-Identifier: Apache-2.0
//
// HangWatch: finds a process that no longer answers. A ping each second, never a second one before
// the first is answered, so a process that hangs costs one message.
//
// STATE
//   quiet -> asked     a second has passed: `ping` is called with a new token
//   asked -> quiet     pong() with that token
//   asked -> busy      busy_after has passed; `busy(true)`
//   busy  -> quiet     pong(); `busy(false)`
//   asked, busy -> over   end_after has passed; `hung`; nothing more comes
//
// Threads: the loop's. It asks from start() to stop() or its end.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

namespace asio {
class io_context;
}

namespace porthole {

struct HangLimits {
  std::chrono::milliseconds period = std::chrono::seconds(1);
  std::chrono::milliseconds busy_after = std::chrono::seconds(2);
  /// Unless given it is never over.
  std::optional<std::chrono::milliseconds> end_after = {};
};

class HangWatch {
 public:
  struct Events {
    std::function<void(std::uint64_t token)> ping;
    std::function<void(bool busy)> busy = {};
    std::function<void()> hung = {};
  };

  HangWatch(asio::io_context& loop, HangLimits limits, Events events);
  HangWatch(const HangWatch&) = delete;
  HangWatch& operator=(const HangWatch&) = delete;
  ~HangWatch();

  void start();
  void stop();
  /// Asks without waiting for the second to pass. The token whose answer proves that it was alive
  /// after this call.
  std::uint64_t ask_now();
  /// False when this token was not asked for, or has been answered.
  bool pong(std::uint64_t token);
  bool busy() const noexcept { return busy_; }
  /// How long it has not answered.
  std::chrono::milliseconds silence() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Timer;

  void ask();
  void wait();
  void look();

  HangLimits limits_;
  Events events_;
  std::shared_ptr<Timer> timer_;
  bool watching_ = false;
  bool ask_again_ = false;
  std::uint64_t token_ = 0;
  std::optional<Clock::time_point> asked_;
  bool busy_ = false;
};

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
//
// Survivors: what a process does at its end of a channel whose other end dies, and what it must
// find there (F1, F2): everything that was sent before, whole and in order, the message in flight
// whole or not at all, then the end, told and not waited for.
#pragma once

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include <bulkhead/channel.hpp>

#include "crash/operation.hpp"

namespace bulkhead::crash {

/// Longer than anything takes: who needs it has hung. explore() gives the survivors less of it once
/// they have hung.
inline constexpr std::chrono::seconds whole_patience{15};
inline std::chrono::seconds patience = whole_patience;

/// Messages as a survivor expects them: number k has the size that `size_of` says.
struct Stream {
  std::function<std::size_t(std::uint64_t)> size_of;
  std::uint64_t next = 0;  ///< the next number
};

/// Receives until the end. `at_least` and `at_most`: how many messages there must have been in the
/// stream by then. Ends: `peer_died`, or `closed` where the victim may have said so.
enum class Farewell : std::uint8_t { never, perhaps, surely };
void receive_to_the_end(Channel& channel, Stream& stream, std::uint64_t at_least,
                        std::uint64_t at_most, Farewell farewell, Verdict& verdict);

/// Sends until it is told of the end: no more than fits, and it does not hang.
void send_to_the_end(Channel& channel, Stream& stream, Farewell farewell, Verdict& verdict);

/// A thread of a survivor that waits while the victim dies.
class Waiter {
 public:
  Waiter() = default;
  ~Waiter() { join(); }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  void start(std::function<void()> work);
  /// Until it sleeps in the kernel, or has ended instead.
  void await_sleep() const;
  /// It sleeps, and would not if anybody had woken it: who was woken is ready to run until it has run.
  bool sleeps() const;
  bool ended() const { return ended_; }
  void join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::thread thread_;
  std::atomic<pid_t> id_{0};
  std::atomic<bool> ended_{false};
};

}  // namespace bulkhead::crash

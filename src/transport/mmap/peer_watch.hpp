// SPDX-License-Identifier: Apache-2.0
//
// PeerWatch: how one half of an end waits for the other end: for what that writes (os::FileWatch on
// the file that matters), for its end (its lock and a pidfd), and for a bell of this end's own.
// The peer need not be there: before it has come, and with `follow` after it has gone, there is
// nothing but to wait.
//
// Threads: one, the half's own; ring() from anywhere.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <bulkhead/deadline.hpp>

#include "os/file_owner.hpp"
#include "os/file_watch.hpp"
#include "os/signal_fd.hpp"

namespace bulkhead::transport::mmap {

/// Whether the peer that is there now, or has been, is the one that this end is for.
enum class Met : std::uint8_t { not_yet, before };

enum class Fate : std::uint8_t { open, closed, died };

class PeerWatch {
 public:
  /// `tail`: the peer's N.tail, open. `watched`: paths.
  PeerWatch(FdView tail, std::string tail_path, std::vector<std::string> watched,
            std::optional<std::chrono::milliseconds> look, bool follow, Met met);

  /// Before the first wait: false when it had begun already, and else what came before it is to be
  /// looked for once more.
  Result<bool> begin();
  /// `closed` or `died` when the peer had come and has gone.
  Result<Fate> fate();
  pid_t pid() const noexcept { return static_cast<pid_t>(sight_.record().pid); }

  /// Returns when something has happened, or may have; else `timed_out`, or `empty` for no_wait.
  Result<void> wait(Deadline deadline);
  /// In the last wait the peer's process ended, or one had to look by oneself.
  bool process_stirred() const noexcept { return process_stirred_; }
  /// A level-triggered descriptor for the same, set at first.
  Result<FdView> descriptor();
  /// Ends a wait, now and whenever `for_ever`.
  void ring(bool for_ever) noexcept;

 private:
  Result<void> show_process();

  std::vector<std::string> watched_;
  std::optional<std::chrono::milliseconds> look_;
  const bool follow_;
  os::OwnerSight sight_;
  bool seen_ = false;       // sight_ has been looked through
  bool met_ = false;        // the peer came while we were here
  std::uint64_t base_ = 0;  // its session before
  std::optional<os::FileWatch> watch_;
  std::mutex bell_mutex_;
  os::SignalFd bell_;
  bool for_ever_ = false;
  bool process_stirred_ = false;
  Fd epoll_;
  int shown_ = -1;
};

}  // namespace bulkhead::transport::mmap

// SPDX-License-Identifier: Apache-2.0
//
// Binding: what the two threads of an end share: the control socket, the own segment and bells
// once it is bound, the peer's once its hello has come, and how it all ended.
//
// STATE of an end
//   unbound -> bound     bind(), by the first use of either thread: segment made, hello sent
//   unbound -> detached  detach(): the control socket goes to another process
//   bound   -> met       meet(): the peer's hello read and its segment mapped
//   any     -> ended     end(): the peer lied, refused us, closed or died; the first reason stays
//   any     -> closed    close(), by any thread
// The control socket is shut down on the way to ended and closed, which wakes every sleeper of this
// end and the peer's. Nothing is unmapped and no descriptor closed before the destructor: other
// threads may be using them.
//
// Threads: any, except that detach() and the destructor have it alone. What bind() and meet() made
// does not change any more and may be used by a thread that has called them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>

#include <bulkhead/channel.hpp>

#include "transport/shm/bell.hpp"
#include "transport/shm/control.hpp"
#include "transport/shm/outside.hpp"
#include "transport/shm/segment.hpp"
#include "transport/shm/shm_link.hpp"
#include "transport/shm/waiting.hpp"
#include "transport/shm/wake_set.hpp"

namespace bulkhead::transport::shm {

class Binding {
 public:
  Binding(Fd control, const ChannelOptions& options, ShmSetup setup);
  Binding(const Binding&) = delete;
  Binding& operator=(const Binding&) = delete;

  /// Makes the own segment and sends the hello; never waits. `exhausted` leaves the end unbound.
  Result<void> bind();
  /// And waits for the peer's hello; `empty` for os::no_wait.
  Result<void> meet(Deadline deadline);

  /// Neither ended nor closed. For the hot path: seen late it costs one more message.
  bool live() const noexcept {
    // ORDER(shm.live.look): relaxed; only a hint to look closer; pairs with ORDER(shm.live.end).
    return live_.load(std::memory_order_relaxed);
  }
  /// Why it is not live; success while it is.
  Result<void> verdict() const;
  /// Ends it, and gives back the reason that stays.
  std::unexpected<Error> end(Error reason);
  void close() noexcept;
  Result<Fd> detach();

  // After bind().
  const OwnSegment& own() const noexcept { return *own_; }
  const Bell& data_bell() const noexcept { return *data_bell_; }
  const Bell& space_bell() const noexcept { return *space_bell_; }
  WaitPolicy::Place place() const noexcept { return place_; }

  // After meet().
  const PeerSegment& peer() const noexcept { return *peer_; }
  const BellWatch& data_watch() const noexcept { return *data_watch_; }
  const BellWatch& space_watch() const noexcept { return *space_watch_; }
  WakeSet& data_wakes() noexcept { return *data_wakes_; }
  WakeSet& space_wakes() noexcept { return *space_wakes_; }
  /// What one message may carry: the peer's limit and ours.
  std::uint32_t handle_limit() const noexcept { return handle_limit_; }

  FdView control_socket() const noexcept { return control_; }
  Control control() const noexcept { return Control{control_}; }
  const ChannelOptions& options() const noexcept { return options_; }
  const ShmSetup& setup() const noexcept { return setup_; }
  Peer credentials() const noexcept { return credentials_; }

  /// For readable() and writable(); after bind().
  Result<FdView> watch_data() { return watch(readable_, data_watch_); }
  Result<FdView> watch_space() { return watch(writable_, space_watch_); }
  const Outside& readable() const noexcept { return readable_; }
  const Outside& writable() const noexcept { return writable_; }

  /// Counts the sends, so that the receiver can tell a stream from a ping-pong.
  void note_send() noexcept {
    // ORDER(shm.sends.count): relaxed, a hint within this process; pairs with ORDER(shm.sends.look).
    sends_.store(sends_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  std::uint32_t sends() const noexcept {
    // ORDER(shm.sends.look): relaxed; pairs with ORDER(shm.sends.count).
    return sends_.load(std::memory_order_relaxed);
  }

 private:
  using Lock = std::unique_lock<std::mutex>;

  Result<void> verdict_locked() const;
  Result<void> bind_locked();
  Result<void> attach_locked(PeerHello hello);
  std::unexpected<Error> end_locked(Error reason);
  void shut_down() noexcept;
  Result<FdView> watch(Outside& outside, const std::optional<BellWatch>& bell);

  const ChannelOptions options_;
  const ShmSetup setup_;
  Fd control_;
  Peer credentials_;

  alignas(128) std::atomic<bool> live_{true};
  std::atomic<std::uint32_t> sends_{0};

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // by meet(): the peer is there, or nobody polls for it
  bool polling_ = false;             // a thread waits for the hello at the control socket
  bool closed_here_ = false;
  bool detached_ = false;
  pid_t owner_;  // who made it, then who bound it; a forked child's copy goes without a word
  std::optional<Error> reason_;

  std::optional<OwnSegment> own_;
  std::optional<Bell> data_bell_;
  std::optional<Bell> space_bell_;
  WaitPolicy::Place place_;
  std::optional<PeerSegment> peer_;
  std::optional<BellWatch> data_watch_;
  std::optional<BellWatch> space_watch_;
  std::optional<WakeSet> data_wakes_;
  std::optional<WakeSet> space_wakes_;
  std::uint32_t handle_limit_ = 0;
  Outside readable_;
  Outside writable_;
};

}  // namespace bulkhead::transport::shm

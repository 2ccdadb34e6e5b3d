// SPDX-License-Identifier: Apache-2.0
//
// Binding: what the two threads of an end share: the control socket, the own segment and bells
// once it is bound, the peer's once its hello has come, and how it all ended.
//
// STATE of an end
//   unbound -> bound     bind(), by the first use of either thread: segment made, hello sent
//   unbound -> detached  detach(): the control socket goes to another process
//   bound   -> met       meet(): the peer's hello read
//   any     -> ended     end(): the peer lied, refused us, closed or died; the first reason stays
//   any     -> closed    close(), by any thread
// STATE of its memory
//   open    -> mapped    meet(): the peer's segment is mapped, and our word says so
//   open    -> stays     bind(): no memory could be made; meet(): the peer has none, or it cannot
//                        be mapped, which our word says
//   mapped  -> stays     meet() again: the peer's word says that it cannot map ours
//                        For good; with needs.in_place an end instead
// STATE of a direction, by its sender
//   socket  -> memory    move_out() at the start of a message: mapped here, and the peer's word
//                        says mapped: the packet `moved`, then the ring
//   socket  -> memory    at the other end: enter_ring(), when that packet is read
// The control socket is shut down on the way to ended and closed, which wakes every sleeper of this
// end and the peer's. Nothing that a thread may be using is unmapped or closed before the destructor.
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
#include "transport/shm/inbox.hpp"
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

  /// Makes the own segment, if it can, and sends the hello; never waits. With needs.in_place an end
  /// that cannot stays unbound, and says why.
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

  /// The sender's half goes on in memory, if both ends can: then true. `full` when the peer cannot
  /// be told now. Between two messages; own(), peer() and all below are for those that moved.
  Result<bool> move_out();
  /// The receiver's half: the peer has said that it moved.
  Result<void> enter_ring();
  /// After a send was refused: why the peer takes nothing any more. What it had sent is kept.
  Error why_gone();

  /// In its segment, if we have mapped it.
  bool peer_said_closed() const;

  bool stays_on_socket() const noexcept {
    // ORDER(shm.stays.look): relaxed, tells and orders nothing; pairs with ORDER(shm.stays.tell).
    return stays_.load(std::memory_order_relaxed);
  }
  ShmWays ways() const;
  /// False once it is known that no message will ever go through memory.
  bool may_be_in_memory() const;
  /// What the socket's empty buffer holds of one message, at least.
  std::size_t socket_room() const noexcept { return socket_room_; }

  // In memory.
  const OwnSegment& own() const noexcept { return *own_; }
  const Bell& data_bell() const noexcept { return *data_bell_; }
  const Bell& space_bell() const noexcept { return *space_bell_; }
  WaitPolicy::Place place() const noexcept { return place_; }
  const PeerSegment& peer() const noexcept { return *peer_; }
  const BellWatch& data_watch() const noexcept { return *data_watch_; }
  const BellWatch& space_watch() const noexcept { return *space_watch_; }
  WakeSet& data_wakes() noexcept { return *data_wakes_; }
  WakeSet& space_wakes() noexcept { return *space_wakes_; }

  /// What one message may carry: the peer's limit and ours; after meet().
  std::uint32_t handle_limit() const noexcept { return handle_limit_; }

  FdView control_socket() const noexcept { return control_; }
  Control control() noexcept { return Control{control_, &inbox_}; }
  const ChannelOptions& options() const noexcept { return options_; }
  const ShmSetup& setup() const noexcept { return setup_; }
  Peer credentials() const noexcept { return credentials_; }

  /// For readable() and writable(); after bind().
  Result<FdView> watch_data() { return watch(readable_, Outside::For::data); }
  Result<FdView> watch_space() { return watch(writable_, Outside::For::space); }
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
  Result<void> make_memory();
  void make_room_in_socket() noexcept;
  Result<void> attach_locked(PeerHello hello);
  Result<void> map_peer(PeerHello& hello);
  Result<void> hear_of_peers_memory();
  Result<void> stay(const char* cause);
  void note_that_it_stays() noexcept;
  void drop_memory() noexcept;
  std::unexpected<Error> end_locked(Error reason);
  void shut_down() noexcept;
  Result<FdView> watch(Outside& outside, Outside::For what);

  const ChannelOptions options_;
  const ShmSetup setup_;
  Fd control_;
  Inbox inbox_;
  Peer credentials_;

  alignas(128) std::atomic<bool> live_{true};
  std::atomic<std::uint32_t> sends_{0};
  std::atomic<bool> stays_{false};
  std::size_t socket_room_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // by meet(): the peer is there, or nobody polls for it
  bool polling_ = false;             // a thread waits for the hello at the control socket
  bool bound_ = false;
  bool met_ = false;
  bool moved_out_ = false;
  bool moved_in_ = false;
  bool closed_here_ = false;
  bool detached_ = false;
  pid_t owner_;  // who made it, then who bound it; a forked child's copy goes without a word
  std::optional<Error> reason_;

  Fd file_;  // of the own segment, until the hello has gone
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

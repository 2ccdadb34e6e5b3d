// SPDX-License-Identifier: Apache-2.0
//
// Channel: one end of a connection that carries messages: bytes with boundaries kept, in order,
// each whole or not at all, and handles beside them where the mechanism can. One face for every
// mechanism; what one lacks is `unsupported` when the channel is bound, by name.
//
// Threads: one thread sends while another receives; no more than one a direction at a time.
// Ownership: move-only; the destructor closes and does not block. Memory, threads and descriptors
// are this object's own: nothing global, nothing hidden.
// Blocking: whatever takes a Deadline may block that long; `try_` forms never do, and answer `full`
// or `empty`. The async_ forms are defined in <bulkhead/asio.hpp>.
// Peer death: a call that waits returns `peer_died` as soon as the kernel tells (well under a
// millisecond), after all that the peer had sent completely has been received. A send into a ring
// with room can still succeed just after the peer died: the next call that waits tells.
// Trust: received messages are private copies. A peer that breaks the protocol is `corrupt`, and
// loses this channel and nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <sys/types.h>
#include <utility>

#include <bulkhead/address.hpp>
#include <bulkhead/bytes.hpp>
#include <bulkhead/deadline.hpp>
#include <bulkhead/fd.hpp>
#include <bulkhead/handle.hpp>
#include <bulkhead/message.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/trust.hpp>

namespace bulkhead {

namespace detail {
struct ChannelState;
}

/// What a mechanism can do, beyond carrying messages in order.
struct Capabilities {
  bool handles = false;        ///< descriptors, Regions and Channels travel with messages
  bool priority = false;       ///< messages overtake each other by Message::priority()
  bool many_clients = false;   ///< one listener, any number of connections
  bool other_machine = false;  ///< the peer may be on another machine
  bool in_place = false;       ///< loan and receive_view do not copy
  bool both_ways = false;      ///< an end can send and receive
  bool unrelated = false;      ///< processes that share no parent meet by an address
  bool reliable = false;       ///< nothing is lost between two live ends
  bool tells_death = false;    ///< the kernel tells of the peer's end, without traffic
  bool survives = false;       ///< what was sent outlives both ends
};

/// What `mechanism` can do; an end of it may have less (a pipe that only sends).
BULKHEAD_API Capabilities capabilities(Mechanism mechanism) noexcept;

/// Which way messages go, seen from the end that has this option; the first one, of a pair.
enum class Direction : std::uint8_t { both, send, receive };

struct ChannelOptions {
  Trust trust = Trust::equal;
  /// Room for messages under way in each direction; rounded up to a power of two (shm) or to what
  /// the kernel gives (the others). Larger messages stream through it.
  std::size_t capacity_bytes = 256 * 1024;
  /// A larger message is refused: `too_large` when sending, `corrupt` when a peer sends one.
  std::size_t max_message_bytes = 256 * 1024 * 1024;
  /// One way, where a mechanism is cheaper or only able so: one pipe instead of two. The call of
  /// the other way is `unsupported` then.
  Direction direction = Direction::both;
  /// What the program will need. A mechanism without it is `unsupported` by pair, connect and
  /// listen, by name, and not in the middle of the work.
  Capabilities needs = {};
};

/// Who is at the other end, by the kernel's word. `pid` is 0 when it cannot be known.
struct Peer {
  pid_t pid = 0;
  uid_t uid = static_cast<uid_t>(-1);
  gid_t gid = static_cast<gid_t>(-1);
};

/// What went wrong on the way to this end, as far as it can be told. Zero for mechanisms that are
/// reliable.
struct Losses {
  std::uint64_t lost = 0;        ///< sent and not arrived, or not yet
  std::uint64_t reordered = 0;   ///< arrived after one that was sent later; delivered as it came
  std::uint64_t duplicated = 0;  ///< arrived again, or too late to tell; dropped
};

/// Room in the channel for a message that is built in place. Dropping it unsent gives it back.
/// At most one at a time per channel; it must not outlive the channel.
class BULKHEAD_API Loan {
 public:
  Loan(Loan&& other) noexcept
      : state_(std::exchange(other.state_, nullptr)), bytes_(other.bytes_) {}
  Loan& operator=(Loan&&) = delete;
  ~Loan();

  MutableBytes bytes() const noexcept { return bytes_; }

 private:
  friend class Channel;
  Loan(detail::ChannelState* state, MutableBytes bytes) noexcept : state_(state), bytes_(bytes) {}

  detail::ChannelState* state_;
  MutableBytes bytes_;
};

/// A received message looked at where it lies, held until the View goes. At most one at a time per
/// channel; it must not outlive the channel. From an untrusted peer it is a private copy.
class BULKHEAD_API View {
 public:
  View(View&& other) noexcept;
  View& operator=(View&&) = delete;
  ~View();

  Bytes bytes() const noexcept { return bytes_; }
  /// It lies in the peer's memory, not in a copy.
  bool in_place() const noexcept { return state_ != nullptr; }
  std::vector<Handle>& handles() noexcept { return copy_.handles(); }

 private:
  friend class Channel;
  View(detail::ChannelState* state, Bytes bytes) noexcept : state_(state), bytes_(bytes) {}
  explicit View(Message copy) noexcept : copy_(std::move(copy)), bytes_(copy_.bytes()) {}

  detail::ChannelState* state_ = nullptr;
  Message copy_;
  Bytes bytes_;
};

class BULKHEAD_API Channel {
 public:
  Channel(Channel&&) noexcept;
  Channel& operator=(Channel&&) noexcept;
  ~Channel();

  /// Sends one message. `timed_out` leaves nothing of it behind: the receiver sees it whole or not
  /// at all, and the channel stays usable.
  Result<void> send(Bytes bytes, Deadline deadline);
  /// Handles move out of the message when it was sent, and stay in it when it was not.
  Result<void> send(Message& message, Deadline deadline);
  Result<void> send(Message&& message, Deadline deadline) { return send(message, deadline); }
  /// `too_large` when it could never go without waiting (more than the capacity): send() streams it.
  Result<void> try_send(Bytes bytes);
  Result<void> try_send(Message& message);

  /// Sends them in order, telling the peer once where the mechanism allows it. The number sent:
  /// fewer than all only when the deadline came; an error only when none was sent.
  Result<std::size_t> send_many(std::span<const Bytes> messages, Deadline deadline);

  /// The next message. `closed` when the peer has closed and everything was received.
  Result<Message> receive(Deadline deadline);
  /// The same into memory that is used again.
  Result<void> receive(Message& into, Deadline deadline);
  Result<Message> try_receive();

  /// Room for one message of `size` bytes (at most half the capacity where it is in place), to be
  /// filled and given to send().
  Result<Loan> loan(std::size_t size, Deadline deadline);
  /// Sends what was built; never waits.
  Result<void> send(Loan loan);

  /// The next message, looked at in place where mechanism and trust allow it.
  Result<View> receive_view(Deadline deadline);

  /// Completion signature void(Result<Message>); include <bulkhead/asio.hpp>.
  template <class Token> auto async_receive(Deadline deadline, Token&& token);
  /// Completion signature void(Result<void>); include <bulkhead/asio.hpp>.
  template <class Token> auto async_send(Message message, Deadline deadline, Token&& token);

  /// A descriptor that polls readable (level-triggered) when try_receive has something to say: a
  /// message or an end. From the first call on, try_receive must be called until `empty` before
  /// the descriptor is waited on again. Owned by the channel.
  Result<FdView> readable();
  /// The same for try_send after `full`.
  Result<FdView> writable();

  Mechanism mechanism() const noexcept;
  Capabilities capabilities() const noexcept;
  Trust trust() const noexcept;
  Peer peer() const noexcept;
  /// Any thread.
  Losses losses() const noexcept;

  /// Ends the connection in good order: the peer receives what was sent, then `closed`. Idempotent.
  /// Calls of other threads on this channel return `closed`.
  void close() noexcept;

  /// For sending this end to another process, before its first use there or here: `invalid` when
  /// it has sent or received already, `unsupported` where the mechanism cannot.
  Result<Handle> into_handle() &&;
  static Result<Channel> from_handle(Handle handle, Trust trust);
  /// The same with limits of one's own; those of the other end stay. A thread's channel keeps what
  /// pair() gave it.
  static Result<Channel> from_handle(Handle handle, const ChannelOptions& options);

 private:
  friend struct detail::ChannelState;
  explicit Channel(std::shared_ptr<detail::ChannelState> state) noexcept;

  std::shared_ptr<detail::ChannelState> state_;
};

/// Two connected ends, both here; one is usually passed to another process. For mechanisms of
/// memory and sockets binding happens at the first use of each end, in the process that uses it.
BULKHEAD_API Result<std::pair<Channel, Channel>> pair(Mechanism mechanism,
                                                      const ChannelOptions& options = {});

/// Connects to a Listener. `not_found` when nobody listens there, `denied` when it refuses us.
BULKHEAD_API Result<Channel> connect(const Address& address, Deadline deadline,
                                     const ChannelOptions& options = {});

}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
//
// Link: what a mechanism implements; Channel is its public face. One file pair per mechanism makes
// a Link, and one line in mechanism.hpp makes it reachable.
//
// Threads: one in the sending half (send, send_many, loan, commit) and one in the receiving half
// (receive, view, release) at a time; close() from anywhere. Deadlines: os::no_wait means never
// wait, and turns `timed_out` into `full` (sending) or `empty` (receiving).
// Errors: `closed` after an orderly end, `peer_died` after the other kind, and both only when all
// that arrived completely has been received; `corrupt` for a peer that broke the protocol, from
// then on for ever. An error leaves nothing half sent that the receiver could see.
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include <bulkhead/channel.hpp>

#include "os/poll.hpp"

namespace bulkhead::transport {

using os::no_wait;

class Link {
 public:
  virtual ~Link() = default;

  /// One message. On success the handles have been consumed; on failure they are untouched.
  virtual Result<void> send(Bytes bytes, std::span<Handle> handles, Deadline deadline) = 0;
  /// The same without handles, ahead of all that wait with a lower priority (1 to
  /// Message::most_priority).
  virtual Result<void> send_urgent(Bytes bytes, unsigned priority, Deadline deadline);
  /// A step of a send that never waits, for messages that may be larger than what fits at once.
  /// After `full` call it again with the same arguments when writable() says so, and send nothing
  /// else until it is done or given up by abort_part(). `done` is the link's; it starts at 0.
  virtual Result<void> send_part(Bytes bytes, std::span<Handle> handles, std::size_t& done) {
    static_cast<void>(done);
    return send(bytes, handles, no_wait);
  }
  virtual void abort_part(std::size_t done) noexcept { static_cast<void>(done); }
  /// The same of a message with a priority. Mechanisms that cut messages in pieces have their own.
  virtual Result<void> send_urgent_part(Bytes bytes, unsigned priority, std::size_t& done) {
    static_cast<void>(done);
    return send_urgent(bytes, priority, no_wait);
  }
  /// How many were sent; fewer only when the deadline came.
  virtual Result<std::size_t> send_many(std::span<const Bytes> messages, Deadline deadline);
  /// One message, replacing what `into` held.
  virtual Result<void> receive(Message& into, Deadline deadline) = 0;

  /// The short way of send and receive, for mechanisms of memory: true when it was done. False when
  /// anything at all stands in the way; nothing has happened then, and the long way says what.
  virtual bool send_at_once(Bytes bytes) {
    static_cast<void>(bytes);
    return false;
  }
  virtual bool receive_at_once(Message& into) {
    static_cast<void>(into);
    return false;
  }

  /// Room of `size` bytes until commit or abandon. Mechanisms without memory build it aside.
  virtual Result<MutableBytes> loan(std::size_t size, Deadline deadline) = 0;
  virtual Result<void> commit() = 0;
  virtual void abandon() noexcept = 0;

  /// A message in place until release(), or nothing when this link or this message cannot: then
  /// the caller receives a copy.
  virtual Result<std::optional<Bytes>> view(Deadline deadline) {
    static_cast<void>(deadline);
    return std::nullopt;
  }
  virtual void release() noexcept {}

  /// See Channel::readable() and writable().
  virtual Result<FdView> readable() = 0;
  virtual Result<FdView> writable() = 0;

  virtual Mechanism mechanism() const noexcept = 0;
  virtual Capabilities capabilities() const noexcept = 0;
  virtual Peer peer() const noexcept = 0;
  /// Any thread.
  virtual Losses losses() const noexcept { return {}; }

  virtual void close() noexcept = 0;

  /// Does now what the first use would do, and waits for the peer's part until the deadline: for a
  /// process that is about to give up its right to make memory and descriptors. os::no_wait does
  /// this end's part alone. Nothing to do for mechanisms that have nothing to bind.
  virtual Result<void> bind(Deadline deadline) {
    static_cast<void>(deadline);
    return {};
  }

  /// Gives up this end, before its first use, as something that another process can adopt.
  virtual Result<Handle> detach() = 0;
};

/// What a Listener is made of.
class Acceptor {
 public:
  virtual ~Acceptor() = default;
  virtual Result<std::unique_ptr<Link>> accept(Deadline deadline) = 0;
  virtual FdView readable() const noexcept = 0;
  virtual void close() noexcept = 0;
  /// Where it listens, when that is not what was asked for: a port that the system chose.
  virtual std::optional<Address> address() const { return std::nullopt; }
};

/// The face of all mechanisms together: factory.cpp, over the table of mechanism.hpp.
Result<std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>>> make_pair(
    Mechanism mechanism, const ChannelOptions& options);
Result<std::unique_ptr<Link>> connect(const Address& address, Deadline deadline,
                                      const ChannelOptions& options);
Result<std::unique_ptr<Link>> adopt(Handle handle, const ChannelOptions& options);
/// `unsupported`, with the reason, when an end of `mechanism` cannot be used in a sandbox.
Result<void> check_fits_sandbox(Mechanism mechanism);
Result<std::unique_ptr<Acceptor>> listen(const Address& address, const ChannelOptions& options,
                                         bool other_users);

}  // namespace bulkhead::transport

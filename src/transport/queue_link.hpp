// SPDX-License-Identifier: Apache-2.0
//
// QueueLink: what the posix_mq and sysv_mq mechanisms share: cutting messages into units and
// putting them together (queue_frame.hpp), the order of looking for an end, and the deadlines. A
// mechanism gives it one unit in, one unit out, and the waiting for both.
//
// How an end is found: a queue does not hang up. The mechanism has a second thing that tells, and
// the wait functions say that it told; only then the state is looked at. What the queue still holds
// is received first.
// One message is under way at a time (Link's contract), so at most one is to be taken back: that is
// owed when the queue had no room for it and paid before anything else.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "transport/aside.hpp"
#include "transport/nap.hpp"
#include "transport/queue_reader.hpp"

namespace bulkhead::transport {

class QueueLink : public LinkWithoutMemory {
 public:
  Result<void> send(Bytes bytes, std::span<Handle> handles, Deadline deadline) final;
  Result<void> send_urgent(Bytes bytes, unsigned priority, Deadline deadline) final;
  Result<void> send_part(Bytes bytes, std::span<Handle> handles, std::size_t& done) final;
  void abort_part(std::size_t done) noexcept final;
  Result<void> send_urgent_part(Bytes bytes, unsigned priority, std::size_t& done) final;
  Result<std::size_t> send_many(std::span<const Bytes> messages, Deadline deadline) final;
  Result<void> receive(Message& into, Deadline deadline) final;
  Result<void> bind(Deadline) final { return bind(); }

 protected:
  explicit QueueLink(const ChannelOptions& options) : options_(options) {}

  struct Unit {
    std::size_t size = 0;
    unsigned priority = 0;
  };
  enum class Woken : std::uint8_t { by_queue, by_end };

  /// Calls has_sizes() at its first call.
  virtual Result<void> bind() = 0;
  /// One unit, as a whole or not: `full`. What lies in the scratch has `lead` free bytes before it.
  virtual Result<void> put(Bytes unit, unsigned priority) = 0;
  /// One unit, or `empty`.
  virtual Result<Unit> take(std::span<std::byte> room) = 0;
  /// `timed_out`, or a reason to look again.
  virtual Result<Woken> await_room(Deadline deadline) = 0;
  virtual Result<Woken> await_unit(Deadline deadline) = 0;
  /// The first unit of a message of `size` bytes would go now.
  virtual bool has_room(std::size_t size) = 0;
  /// Where the peer must be asked to ring: asks for it. True when it has been, so that the queue
  /// must be looked at once more before the wait.
  virtual bool arm_room(Deadline) { return false; }
  virtual bool arm_unit(Deadline) { return false; }
  /// `closed`, `peer_died`, or nothing while the peer is there.
  virtual std::optional<Error> look_for_end() = 0;
  /// From any thread: the peer is to learn that this end uses the queues no more.
  virtual void hang_up() noexcept = 0;

  /// Units of this end's messages and how many of them wait unread at the most; of the peer's. 0
  /// for a direction that is not there.
  void has_sizes(std::size_t out_unit, std::size_t out_depth, std::size_t in_unit);
  Result<void> await_room(std::size_t size, Deadline deadline) final;

  /// After bind(): `unsupported` for an end that has not that direction.
  Result<void> expect_sends() const;
  Result<void> expect_receives() const;
  bool is_closed() const noexcept { return closed_; }
  bool in_scratch(Bytes unit) const noexcept {
    return unit.data() == scratch_.get() + QueueReader::lead;
  }
  /// False when it was closed before.
  bool begin_close() noexcept { return !closed_.exchange(true); }

  const ChannelOptions options_;

 private:
  Result<void> check_send(std::size_t size, std::span<Handle> handles);
  Result<void> send_all(Bytes bytes, unsigned priority, std::size_t& done, Deadline deadline);
  Result<void> send_at(Bytes bytes, unsigned priority, Deadline deadline);
  Result<void> put_waiting(Bytes unit, unsigned priority, Deadline deadline);
  Result<void> pay_abort(Deadline deadline);
  Result<std::size_t> send_batch(std::span<const Bytes> messages, Deadline deadline);
  Bytes build(queue_frame::Type type, std::size_t size, Bytes content);
  Result<bool> read_unit(Message& into);
  Result<Woken> after_empty(bool& armed, Deadline deadline);
  Error ended(Error error);
  std::unexpected<Error> gone(Error error);

  std::atomic<bool> closed_{false};
  std::atomic<ErrorKind> gone_{};  // known by one half, for the other; 0 while it is not

  // The sending half.
  std::size_t unit_ = 0;
  std::size_t at_once_ = 0;  // bytes of a message that the empty queue takes
  std::unique_ptr<std::byte[]> scratch_;
  unsigned part_priority_ = 0;
  bool abort_owed_ = false;

  // The receiving half.
  std::optional<QueueReader> reader_;
  std::optional<Error> ended_;
  bool look_ = false;              // the waiting told of an end
  std::optional<Error> seen_end_;  // and it is one; the queue is looked at once more
  NapHabit nap_;
};

}  // namespace bulkhead::transport

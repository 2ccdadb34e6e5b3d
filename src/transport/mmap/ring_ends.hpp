// SPDX-License-Identifier: Apache-2.0
//
// RingSender and RingReceiver: the two halves of an end, without any waiting. Both go on where their
// files say; opening one again is all the recovery there is, and may be done any number of times.
//
// Durability: as for the log (transport/file/log_writer.hpp). With Sync::each a message is on the
// disk before the cursor that publishes it is. A failed sync is final.
#pragma once

#include <bulkhead/message.hpp>

#include "transport/file/log_writer.hpp"
#include "transport/mmap/ring_file.hpp"

namespace bulkhead::transport::mmap {

using file::Sync;

struct SyncOptions {
  Sync sync = Sync::none;
  std::chrono::milliseconds interval{50};
};

class RingSender {
 public:
  /// `tail` is N.tail of this end, `head` the other end's.
  static Result<RingSender> open(RingFile ring, Fd tail, std::string tail_path, Fd head,
                                 std::string head_path, SyncOptions options);

  /// All or as many as there is room for; `full` when there is none for the first.
  Result<std::size_t> send(std::span<const Bytes> messages);
  /// Whether one of `size` bytes would go.
  Result<bool> has_room(std::size_t size);
  void close() noexcept;

  std::uint64_t capacity() const noexcept { return ring_.capacity(); }
  std::uint64_t next_sequence() const noexcept { return tail_.sequence; }

 private:
  RingSender(RingFile ring, Fd tail, std::string tail_path, Fd head, std::string head_path,
             SyncOptions options) noexcept;
  Result<void> look_at_head();
  std::uint64_t room() const noexcept {
    return ring_.capacity() - (tail_.position + staged_.size() - head_.position);
  }
  Result<bool> fits(std::size_t size);
  bool goes_aside(std::size_t size) const noexcept { return size > most_in_ring(ring_.capacity()); }
  void stage(Bytes payload, std::uint32_t flags, std::uint64_t sequence);
  Result<void> put_aside(Bytes message, std::uint64_t sequence);
  Result<void> publish(std::size_t messages);
  std::string aside_path(std::uint64_t sequence) const;
  std::unexpected<Error> broken(Error error);

  RingFile ring_;
  Fd tail_file_;
  std::string tail_path_;
  Fd head_file_;
  std::string head_path_;
  SyncOptions options_;
  Cursor tail_;
  Cursor head_;  // the other end's, as last seen
  std::vector<std::byte> staged_;
  std::chrono::steady_clock::time_point last_sync_;
  std::optional<Error> broken_;
};

class RingReceiver {
 public:
  /// `ring` and `tail` are the other end's, `head` is N.head of this end.
  static Result<RingReceiver> open(RingFile ring, Fd tail, std::string tail_path, Fd head,
                                   std::string head_path, std::size_t max_message_bytes);

  /// The next message; false when there is none. The one before it is gone for good by this.
  Result<bool> next(Message& into);
  /// The message in hand has been dealt with.
  Result<void> acknowledge();
  /// The owner's record of the other end is another than when one last looked.
  bool take_owner_changed() noexcept { return std::exchange(owner_changed_, false); }

 private:
  RingReceiver(RingFile ring, Fd tail, std::string tail_path, Fd head, std::string head_path,
               std::size_t max_message_bytes) noexcept;
  Result<void> look_at_tail();
  Result<Bytes> bytes_at(std::uint64_t position, std::size_t size);
  Result<bool> take_aside(Bytes payload, std::uint64_t sequence, Message& into);
  std::string aside_path(std::uint64_t sequence) const;

  RingFile ring_;
  Fd tail_file_;
  std::string tail_path_;
  Fd head_file_;
  std::string head_path_;
  std::size_t max_message_bytes_;
  Cursor head_;  // as it stands in the file
  Cursor next_;  // behind the message in hand
  bool in_hand_aside_ = false;
  bool may_be_gone_ = true;  // the first may have been removed, and the head not yet written
  std::uint64_t tail_ = 0;   // the other end's, as last seen
  std::uint64_t owner_seen_ = 0;
  bool owner_changed_ = false;

  std::unique_ptr<std::byte[]> window_;
  std::size_t window_room_ = 0;
  std::uint64_t window_at_ = 0;
  std::size_t window_size_ = 0;
};

}  // namespace bulkhead::transport::mmap

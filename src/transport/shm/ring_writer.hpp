// SPDX-License-Identifier: Apache-2.0
//
// RingWriter: the sending half of a ring: room, records, publication, and whether the peer's
// receiver is to be rung. Private to the sending thread; makes no system call except ring().
//
// Its own cursors are kept here and never read back from the segment.
#pragma once

#include <chrono>
#include <cstdint>

#include <bulkhead/bytes.hpp>
#include <bulkhead/deadline.hpp>

#include "os/fence.hpp"
#include "transport/shm/bell.hpp"
#include "transport/shm/copy.hpp"
#include "transport/shm/hostile_view.hpp"
#include "transport/shm/segment.hpp"

namespace bulkhead::transport::shm {

/// What the peer, by its words, is to be told after a publication.
enum class News : std::uint8_t { none, ring, closed };

class RingWriter {
 public:
  RingWriter(const OwnSegment& segment, const Bell& data_bell, PeerWords peer,
             std::uint64_t first_cursor) noexcept
      : ring_(segment.ring()),
        capacity_(segment.capacity()),
        own_(&segment.words()),
        bell_(&data_bell),
        peer_(peer),
        tail_(first_cursor),
        published_(first_cursor),
        head_(first_cursor) {}

  std::uint64_t capacity() const noexcept { return capacity_; }
  /// The largest record, and the size of the records that a larger message is cut into: small
  /// enough that the receiver copies one while we copy the next.
  std::uint64_t largest_record() const noexcept { return capacity_ / 2; }
  std::uint64_t piece_record() const noexcept { return capacity_ / 8; }

  /// Room for `bytes` of records. Looks at the peer's head only when the last look does not do.
  bool has_room(std::uint64_t bytes) noexcept {
    return tail_ + bytes - head_.accepted() <= capacity_ || look_for_room(bytes);
  }
  /// The peer's head was impossible: the link is to be ended.
  bool lied_to() const noexcept { return lied_to_; }

  /// Where the payload of the next record goes: contiguous, whatever its size.
  std::byte* payload() const noexcept { return at(tail_) + header_bytes; }

  /// Adds the record whose payload is in place, or whose payload is copied. After has_room().
  void add(RecordHeader header) noexcept {
    // ORDER(shm.header.write): relaxed; the release store of the tail publishes it; pairs with
    // ORDER(shm.header.read).
    reinterpret_cast<std::atomic<std::uint64_t>*>(at(tail_))->store(header.packed(),
                                                                    std::memory_order_relaxed);
    tail_ += record_bytes(header.size);
    fetch_ahead();
  }
  void add(RecordHeader header, Bytes payload_bytes) noexcept {
    copy_bytes(payload(), payload_bytes.data(), payload_bytes.size());
    add(header);
  }
  /// The first piece of a message of `total` bytes.
  void add_first_piece(std::uint32_t flags, std::uint64_t total, Bytes part) noexcept;

  /// Added and not yet visible.
  std::uint64_t unpublished() const noexcept { return tail_ - published_; }

  /// Makes visible what was added. news_for_peer() must be asked before this thread does anything
  /// else that can wait.
  void publish() noexcept {
    published_ = tail_;
    // ORDER(shm.tail.publish): release, so that whoever sees this tail sees the records before it;
    // pairs with ORDER(shm.tail.observe). Its order against the look at the wait word is the
    // fence's in news_for_peer().
    own_->tail.store(tail_, std::memory_order_release);
  }

  /// Fences, then looks whether the receiver sleeps. At most one ring for each of its epochs.
  News news_for_peer() noexcept {
    os::fence_seq_cst();
    const std::uint64_t epoch = peer_.wait_data();
    if ((epoch & 1) != 0 && epoch != rung_) [[unlikely]] {
      rung_ = epoch;
      return News::ring;
    }
    return peer_.closed() ? News::closed : News::none;
  }

  /// Wakes the receiver. One system call.
  void ring() noexcept;

 private:
  std::byte* at(std::uint64_t cursor) const noexcept { return ring_ + (cursor & (capacity_ - 1)); }
  bool look_for_room(std::uint64_t bytes) noexcept;

  /// The lines that a stream writes soon, to be ours by then: the fence of each publication waits
  /// for the lines that were written before it. Only those that the receiver is done with.
  void fetch_ahead() const noexcept {
    constexpr std::uint64_t ahead = 512;
    if (tail_ + 2 * ahead - head_.accepted() > capacity_) return;
    const std::byte* const line = at(tail_ + ahead);
#if defined(__x86_64__)
    asm volatile("prefetchw %0" : : "m"(*line));  // __builtin_prefetch would fetch it as shared
#else
    __builtin_prefetch(line, 1);
#endif
  }

  std::byte* ring_;
  std::uint64_t capacity_;
  Words* own_;
  const Bell* bell_;
  PeerWords peer_;
  std::uint64_t tail_;
  std::uint64_t published_;
  PeerCursor head_;
  std::uint64_t rung_ = 0;
  bool lied_to_ = false;
};

}  // namespace bulkhead::transport::shm

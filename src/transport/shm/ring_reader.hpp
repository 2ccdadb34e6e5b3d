// SPDX-License-Identifier: Apache-2.0
//
// RingReader: the receiving half of the peer's ring: what is there, what it is, and giving the
// room back. Private to the receiving thread; makes no system call except ring().
//
// TRUST: the tail and each record's header are loaded once, checked here, and used as copies. The
// payload stays in the peer's memory and may change while it is read: it is copied once before
// anybody judges it, unless the peer is trusted.
#pragma once

#include <cstdint>
#include <utility>

#include <bulkhead/bytes.hpp>

#include "os/fence.hpp"
#include "transport/shm/bell.hpp"
#include "transport/shm/hostile_view.hpp"
#include "transport/shm/segment.hpp"

namespace bulkhead::transport::shm {

class RingReader {
 public:
  RingReader(const PeerSegment& segment, Words& own, const Bell& space_bell,
             std::uint64_t first_cursor) noexcept
      : ring_(segment.ring()),
        capacity_(segment.capacity()),
        own_(&own),
        peer_(segment.words()),
        bell_(&space_bell),
        head_(first_cursor),
        published_(first_cursor),
        tail_(first_cursor),
        stock_(first_cursor) {}

  /// All that is known to be there was consumed: the next look is at the peer's tail.
  bool caught_up() const noexcept { return head_ == tail_.accepted(); }
  /// A record is there, or the peer has lied.
  bool has_news() noexcept {
    if (!caught_up()) return true;
    prefetch();
    return look_for_more();
  }
  bool lied_to() const noexcept { return lied_to_; }

  struct Record {
    RecordHeader header;
    const std::byte* payload;
  };
  /// The oldest record, its size checked: after has_news(). After a lie it is empty, and has all
  /// flags so that nobody takes it for an ordinary one.
  Record record() noexcept {
    const std::byte* const at = ring_ + (head_ & (capacity_ - 1));
    const RecordHeader header = load_header(at);
    const std::uint64_t taken = record_bytes(header.size);
    if (taken > tail_.accepted() - head_ || taken > capacity_ / 2 ||
        (header.flags & ~std::uint32_t{RecordHeader::all_flags}) != 0) [[unlikely]] {
      lied_to_ = true;
      return {.header = {.size = 0, .flags = RecordHeader::all_flags}, .payload = at};
    }
    return {.header = header, .payload = at + header_bytes};
  }

  /// Done with the record whose header said `size`: its bytes may be overwritten once published.
  /// True: give_back() is to be called.
  bool consume(std::uint32_t size) noexcept {
    head_ += record_bytes(size);
    ++records_;
    return head_ - published_ >= capacity_ / 8 || (peer_.wait_space() & 1) != 0;
  }

  /// Publishes what was consumed, and fences. True: the peer's sender sleeps, ring() is due.
  bool give_back() noexcept {
    if (published_ == head_) return false;
    published_ = head_;
    // ORDER(shm.head.publish): release, so that our reads of these bytes come before the peer's
    // next writes to them; pairs with ORDER(shm.head.observe).
    own_->head.store(head_, std::memory_order_release);
    os::fence_seq_cst();
    const std::uint64_t epoch = peer_.wait_space();
    if ((epoch & 1) == 0 || epoch == rung_) return false;
    rung_ = epoch;
    return true;
  }

  /// Wakes the peer's sender. One system call.
  void ring() noexcept;

  /// Records and bytes consumed since the last call.
  struct Batch {
    std::uint64_t records;
    std::uint64_t bytes;
  };
  Batch take_stock() noexcept {
    return {std::exchange(records_, 0), head_ - std::exchange(stock_, head_)};
  }

  /// Bytes of records that are known to be there.
  std::uint64_t backlog() const noexcept { return tail_.accepted() - head_; }

  bool peer_closed() const noexcept { return peer_.closed(); }
  std::uint64_t capacity() const noexcept { return capacity_; }

 private:
  /// The lines of the record that comes next: their way here then overlaps the tail's.
  void prefetch() const noexcept {
    const std::byte* const at = ring_ + (head_ & (capacity_ - 1));
    __builtin_prefetch(at);
    __builtin_prefetch(at + 64);
  }

  bool look_for_more() noexcept {
    switch (tail_.judge(peer_.tail(), head_ + capacity_)) {
      case PeerCursor::Seen::same:
        return lied_to_;
      case PeerCursor::Seen::moved:
        return true;
      case PeerCursor::Seen::lie:
        break;
    }
    lied_to_ = true;
    return true;
  }

  const std::byte* ring_;
  std::uint64_t capacity_;
  Words* own_;
  PeerWords peer_;
  const Bell* bell_;
  std::uint64_t head_;
  std::uint64_t published_;
  PeerCursor tail_;
  std::uint64_t rung_ = 0;
  std::uint64_t records_ = 0;
  std::uint64_t stock_;
  bool lied_to_ = false;
};

}  // namespace bulkhead::transport::shm

// SPDX-License-Identifier: Apache-2.0
//
// The bare ring: what a channel over shared memory is measured against. A ring of slots between one
// writer and one reader that trust each other, with nothing that a channel needs and a loop does
// not: no sizes, checks, deadlines, sleepers or death. Payload on its own lines, each index on its
// own, the other side's index cached, no atomic read-modify-write, no fence, one release store for
// each message. It is meant to be hard to beat.
#pragma once

#include <cstddef>
#include <cstdint>

#include "bench/waiting.hpp"

namespace bulkhead::bench {

/// LAYOUT: 0 tail (written by the writer), 128 head (by the reader), 4096 the slots (by the
/// writer).
template <std::size_t slot_size, std::size_t slot_count> struct RingMemory {
  static_assert((slot_count & (slot_count - 1)) == 0);
  Counter tail;
  Counter head;
  alignas(4096) std::byte slots[slot_count][slot_size];
};

/// The writer's private part. One thread.
template <class Memory, class Waiting, std::size_t slot_count> class RingWriter {
 public:
  void attach(Memory* memory) noexcept { *this = RingWriter{}, memory_ = memory; }

  /// The next slot, once there is room.
  std::byte* claim() noexcept {
    if (tail_ - seen_head_ == slot_count) seen_head_ = Waiting::await(memory_->head, seen_head_);
    return memory_->slots[tail_ & (slot_count - 1)];
  }
  void publish() noexcept { Waiting::raise(memory_->tail, ++tail_); }

 private:
  Memory* memory_ = nullptr;
  std::uint64_t tail_ = 0;
  std::uint64_t seen_head_ = 0;
};

/// The reader's private part. One thread.
template <class Memory, class Waiting, std::size_t slot_count> class RingReader {
 public:
  void attach(Memory* memory) noexcept { *this = RingReader{}, memory_ = memory; }

  /// The oldest message, once there is one.
  const std::byte* next() noexcept {
    if (head_ == seen_tail_) seen_tail_ = Waiting::await(memory_->tail, seen_tail_);
    return memory_->slots[head_ & (slot_count - 1)];
  }
  void release() noexcept { Waiting::raise(memory_->head, ++head_); }

 private:
  Memory* memory_ = nullptr;
  std::uint64_t head_ = 0;
  std::uint64_t seen_tail_ = 0;
};

}  // namespace bulkhead::bench

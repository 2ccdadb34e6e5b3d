// SPDX-License-Identifier: Apache-2.0
//
// How a peer's memory is looked at, and the only way: each value is loaded once into a local copy,
// the copy is checked against what this side alone can write, and only the copy is used.
//
// TRUST. What each value can do when it lies:
//   tail, head   checked by PeerCursor: never backwards, never further than is possible, aligned.
//                A lie ends the link (`corrupt`).
//   a record     its header is loaded once and checked by the reader against the accepted tail.
//   wait words   compared only: at most one needless system call for each message.
//   rang_*_at    clamped by WaitPolicy: moves how long this side spins, within bounds.
//   cpu          compared only: whether this side yields or spins, both bounded.
//   closed       looked at when the link has ended anyway, or to end it: the peer's right.
//   mapped       looked at until it is set once: whether it receives from memory what it may not see,
//                or everything over the socket.
#pragma once

#include <cstddef>
#include <cstdint>

#include "transport/shm/layout.hpp"

namespace bulkhead::transport::shm {

/// A cursor of the peer, as far as it has been believed. Private to one thread.
class PeerCursor {
 public:
  enum class Seen : std::uint8_t { same, moved, lie };

  explicit PeerCursor(std::uint64_t start) noexcept : accepted_(start) {}

  std::uint64_t accepted() const noexcept { return accepted_; }

  /// Judges a value that was just loaded. `furthest` is the furthest possible one, not before the
  /// accepted one. Differences only: cursors wrap at 2^64.
  Seen judge(std::uint64_t value, std::uint64_t furthest) noexcept {
    const std::uint64_t step = value - accepted_;
    if (step == 0) return Seen::same;
    if (step > furthest - accepted_ || step % 8 != 0) return Seen::lie;
    accepted_ = value;
    return Seen::moved;
  }

 private:
  std::uint64_t accepted_;
};

/// The peer's Words. Every call is one load.
class PeerWords {
 public:
  PeerWords() noexcept = default;
  explicit PeerWords(const Words* words) noexcept : words_(words) {}

  explicit operator bool() const noexcept { return words_ != nullptr; }

  std::uint64_t tail() const noexcept {
    // ORDER(shm.tail.observe): acquire, so that the records before this tail are seen complete;
    // pairs with ORDER(shm.tail.publish). Not relaxed: the payload would be read too early.
    return words_->tail.load(std::memory_order_acquire);
  }
  std::uint64_t head() const noexcept {
    // ORDER(shm.head.observe): acquire, so that the peer's last reads of the bytes that it gives
    // back come before our writes to them; pairs with ORDER(shm.head.publish).
    return words_->head.load(std::memory_order_acquire);
  }

  /// To be called after a cursor's publication and the fence.
  std::uint64_t wait_data() const noexcept { return epoch(words_->wait_data); }
  std::uint64_t wait_space() const noexcept { return epoch(words_->wait_space); }

  std::uint64_t rang_data_at() const noexcept { return hint(words_->rang_data_at); }
  std::uint64_t rang_space_at() const noexcept { return hint(words_->rang_space_at); }
  std::uint32_t cpu() const noexcept {
    // ORDER(shm.cpu.look): relaxed, a hint; pairs with ORDER(shm.cpu.tell).
    return words_->cpu.load(std::memory_order_relaxed);
  }

  bool closed() const noexcept {
    // ORDER(shm.closed.look): acquire, so that the tail loaded after it is the last one; pairs with
    // ORDER(shm.closed.tell).
    return words_->closed.load(std::memory_order_acquire) != 0;
  }
  std::uint32_t mapped() const noexcept {
    // ORDER(shm.mapped.look): acquire, though nothing but the word is read for it: it is looked at
    // once a call on the socket; pairs with ORDER(shm.mapped.tell).
    return words_->mapped.load(std::memory_order_acquire);
  }

 private:
  static std::uint64_t epoch(const std::atomic<std::uint64_t>& word) noexcept {
    // ORDER(shm.wait.look): relaxed. The fence between our cursor and this load, and the sleeper's
    // between its word and its load of the cursor, make one of the two see the other; pairs with
    // ORDER(shm.wait.sleep) and ORDER(shm.wait.awake).
    return word.load(std::memory_order_relaxed);
  }
  static std::uint64_t hint(const std::atomic<std::uint64_t>& word) noexcept {
    // ORDER(shm.rang.look): relaxed, a hint; pairs with ORDER(shm.rang.tell).
    return word.load(std::memory_order_relaxed);
  }

  const Words* words_ = nullptr;
};

/// One load of a record's header.
inline RecordHeader load_header(const std::byte* at) noexcept {
  static_assert(sizeof(std::atomic<std::uint64_t>) == header_bytes);
  // ORDER(shm.header.read): relaxed: the acquire load of the tail has made it visible. Atomic so
  // that it is one load, whatever a hostile peer stores meanwhile; pairs with
  // ORDER(shm.header.write).
  return RecordHeader::unpacked(
      reinterpret_cast<const std::atomic<std::uint64_t>*>(at)->load(std::memory_order_relaxed));
}

/// One load of the total that stands in a larger message's first piece.
inline std::uint64_t load_total(const std::byte* at) noexcept {
  // ORDER(shm.header.read): as above; pairs with ORDER(shm.header.write).
  return reinterpret_cast<const std::atomic<std::uint64_t>*>(at)->load(std::memory_order_relaxed);
}

}  // namespace bulkhead::transport::shm

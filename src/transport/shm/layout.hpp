// SPDX-License-Identifier: Apache-2.0
//
// What lies in a segment: the memory file that one end writes and the other maps read-only.
// docs/protocol/shm.md says the same with the reasons; the three must agree.
//
// LAYOUT of a segment (native byte order; both ends are on one machine)
//   offset       size      what           written by  read by
//   0            24        Header         its maker, before it is sealed  the peer, once
//   4096         512       Words          its maker   the peer
//   ring_offset  capacity  ring           its maker   the peer; mapped twice in a row
// ring_offset is 8192, or the page size where pages are larger.
//
// LAYOUT of a record: at tail & (capacity - 1), 8-aligned, rounded up to 8, at most capacity / 2
//   0            8         RecordHeader   sender      receiver, loaded once
//   8            8         total          in the first piece of a larger message alone
//   8 or 16      ...       payload
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace bulkhead::transport::shm {

inline constexpr std::uint32_t magic = 0x4b4c4842;  // "BHLK"
inline constexpr std::uint16_t protocol_version = 2;

inline constexpr std::size_t words_offset = 4096;
inline constexpr std::size_t smallest_ring_offset = 8192;
inline constexpr std::size_t smallest_capacity = 4096;
inline constexpr std::size_t largest_capacity = std::size_t{1} << 30;

/// LAYOUT  0 magic, 4 version, 6 zero, 8 layout_hash, 16 capacity
struct Header {
  std::uint32_t magic;
  std::uint16_t version;
  std::uint16_t zero;
  std::uint64_t layout_hash;
  std::uint64_t capacity;
};
static_assert(sizeof(Header) == 24 && std::is_trivially_copyable_v<Header>);
static_assert(offsetof(Header, layout_hash) == 8 && offsetof(Header, capacity) == 16);

/// What changes while the link lives. Three groups, 128 bytes apart because processors fetch lines
/// in pairs: the third is looked at in every send and receive and must stay in the reader's cache
/// while the other two change.
///
/// LAYOUT (all written by the segment's maker, read by the peer)
///   0    tail           bytes ever published in this ring; the sender's thread
///   128  head           bytes ever consumed of the peer's ring; the receiver's thread, lazily
///   256  wait_data      odd: the receiver sleeps until the peer's tail moves
///   264  wait_space     odd: the sender sleeps until the peer's head moves
///   272  rang_data_at   monotonic ns when the peer's receiver was last rung
///   280  rang_space_at  the same for the peer's sender
///   288  cpu            1 + the processor on which this end last waited; 0: not known
///   292  closed         1: closed in good order
///   296  mapped         1: the peer's segment is mapped here, so that it may publish in memory;
///                       2: it will never be, and messages stay on the socket
struct Words {
  alignas(128) std::atomic<std::uint64_t> tail;
  alignas(128) std::atomic<std::uint64_t> head;
  alignas(128) std::atomic<std::uint64_t> wait_data;
  std::atomic<std::uint64_t> wait_space;
  std::atomic<std::uint64_t> rang_data_at;
  std::atomic<std::uint64_t> rang_space_at;
  std::atomic<std::uint32_t> cpu;
  std::atomic<std::uint32_t> closed;
  std::atomic<std::uint32_t> mapped;
  alignas(128) std::byte spare[128];
};
static_assert(sizeof(Words) == 512 && alignof(Words) == 128);
static_assert(offsetof(Words, tail) == 0 && offsetof(Words, head) == 128);
static_assert(offsetof(Words, wait_data) == 256 && offsetof(Words, wait_space) == 264);
static_assert(offsetof(Words, rang_data_at) == 272 && offsetof(Words, rang_space_at) == 280);
static_assert(offsetof(Words, cpu) == 288 && offsetof(Words, closed) == 292);
static_assert(offsetof(Words, mapped) == 296);
static_assert(words_offset + sizeof(Words) <= smallest_ring_offset);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free &&
              sizeof(std::atomic<std::uint64_t>) == 8);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free &&
              sizeof(std::atomic<std::uint32_t>) == 4);

/// What Words::mapped says; anything else says nothing.
enum Mapped : std::uint32_t { not_yet = 0, yes = 1, never_will_be = 2 };

/// One 64-bit word: `size` bytes of what follows it in its low half, flags in its high half.
///
/// STATE of the records of one message
///   one record            flags none, or `handles`
///   a larger message      `more` (with total), `more | next` ..., `next`
///   given up half way     `more` (with total), `more | next` ..., `abort | next` with size 0
/// `handles` stands in a first record only: in the ring, one control packet with them was sent before
/// it; a record that is itself a packet (control.hpp) has them beside it.
struct RecordHeader {
  enum : std::uint32_t { none = 0, more = 1, next = 2, abort = 4, handles = 8, all_flags = 15 };

  std::uint32_t size;
  std::uint32_t flags;

  std::uint64_t packed() const noexcept { return std::uint64_t{flags} << 32 | size; }
  static RecordHeader unpacked(std::uint64_t word) noexcept {
    return {static_cast<std::uint32_t>(word), static_cast<std::uint32_t>(word >> 32)};
  }
};

inline constexpr std::size_t header_bytes = 8;
inline constexpr std::size_t total_bytes = 8;

/// Bytes of the ring that a record with `size` bytes behind its header takes.
constexpr std::uint64_t record_bytes(std::uint64_t size) noexcept {
  return header_bytes + ((size + 7) & ~std::uint64_t{7});
}

/// Changes whenever anything above does that both ends must agree about.
constexpr std::uint64_t layout_hash(std::size_t ring_offset) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::uint64_t fact :
       {std::uint64_t{sizeof(Header)}, std::uint64_t{words_offset}, std::uint64_t{sizeof(Words)},
        std::uint64_t{offsetof(Words, head)}, std::uint64_t{offsetof(Words, wait_data)},
        std::uint64_t{offsetof(Words, wait_space)}, std::uint64_t{offsetof(Words, rang_data_at)},
        std::uint64_t{offsetof(Words, cpu)}, std::uint64_t{offsetof(Words, closed)},
        std::uint64_t{offsetof(Words, mapped)}, std::uint64_t{header_bytes},
        std::uint64_t{RecordHeader::all_flags},
        std::uint64_t{std::endian::native == std::endian::little}, std::uint64_t{ring_offset}}) {
    hash = (hash ^ fact) * 0x100000001b3;
  }
  return hash;
}

}  // namespace bulkhead::transport::shm

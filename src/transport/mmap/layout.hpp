// SPDX-License-Identifier: Apache-2.0
//
// What lies in the folder of a mapped file (mmap:). End 0 is who listens, end 1 who connects; each
// owns the three files with its number, and nobody else writes a byte of them. They outlive both.
// docs/protocol/mmap.md says the same with the reasons; the two must agree.
//
// LAYOUT of the folder (native byte order)      written by         read by
//   N.ring   the messages that end N sends      end N's sender     the other end's receiver
//   N.tail   who end N is, how far it has sent  end N's sender     the other end
//   N.head   how far end N has received         end N's receiver   the other end's sender
//   N.<sequence>  a large message of end N      end N's sender     removed by the other's receiver
//
// LAYOUT of N.ring: 0 RingHeader (64 bytes); 4096 the ring, `capacity` bytes, all reserved. A record
// (transport/file/record.hpp) stands at position % capacity and may go round the end.
// LAYOUT of N.tail: 0 os::OwnerRecord (its lock is the right to be end N); 64 Cursor
// LAYOUT of N.head: 0 Cursor, with the salt of the ring that is read
//
// Three files and not one, because a write to a file is what wakes who watches it: a receiver
// watches N.tail alone, and a sender that waits for room N.head.
//
// STATE of a message: its record (and its own file, when it is large) --the tail's cursor is
// written--> published --receive() hands it out--> in hand --the next receive(), or close(), writes
// the head's cursor--> gone. A crash in any state leaves it in that state: published messages are
// found again, and one that was in hand comes again.
// TRUST: equal trust only. Still every header, cursor and record is checked, and what does not fit
// is `corrupt` with its file and place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include <bulkhead/bytes.hpp>

#include "os/crc32c.hpp"
#include "transport/file/record.hpp"

namespace bulkhead::transport::mmap {

inline constexpr std::uint64_t ring_offset = 4096;
inline constexpr std::uint64_t cursor_offset = 64;
inline constexpr std::uint64_t smallest_capacity = 16 * 1024;
inline constexpr std::uint64_t largest_capacity = std::uint64_t{1} << 36;

/// LAYOUT  0 magic "BHKRING1", 8 version, 10 header size, 12 crc of all with this field 0,
///         16 layout, 24 salt, 32 capacity (a power of two), 40 zero
struct RingHeader {
  static constexpr std::uint64_t right_magic = 0x31474e49524b4842;

  std::uint64_t magic = right_magic;
  std::uint16_t version = 1;
  std::uint16_t header = 64;
  std::uint32_t crc = 0;
  std::uint64_t layout = 0;
  std::uint64_t salt = 0;
  std::uint64_t capacity = 0;
  std::uint64_t zero[3] = {};
};
static_assert(sizeof(RingHeader) == 64 && std::is_trivially_copyable_v<RingHeader>);
static_assert(offsetof(RingHeader, crc) == 12 && offsetof(RingHeader, layout) == 16);
static_assert(offsetof(RingHeader, salt) == 24 && offsetof(RingHeader, capacity) == 32);

/// LAYOUT  0 position (bytes ever), 8 sequence (of the message that comes there), 16 salt of the
///         ring, 24 crc of all with this field 0, 28 zero
struct Cursor {
  std::uint64_t position = 0;
  std::uint64_t sequence = 1;
  std::uint64_t salt = 0;
  std::uint32_t crc = 0;
  std::uint32_t zero = 0;
};
static_assert(sizeof(Cursor) == 32 && std::is_trivially_copyable_v<Cursor>);
static_assert(offsetof(Cursor, salt) == 16 && offsetof(Cursor, crc) == 24);

/// The payload of a record with the flag `aside`: its message lies in a file of its own.
/// LAYOUT  0 size, 8 crc (CRC32C of the content), 12 zero
struct Aside {
  std::uint64_t size = 0;
  std::uint32_t crc = 0;
  std::uint32_t zero = 0;
};
static_assert(sizeof(Aside) == 16 && std::is_trivially_copyable_v<Aside>);

template <class T> std::uint32_t checksum(T value) noexcept {
  value.crc = 0;
  return os::crc32c({reinterpret_cast<const std::byte*>(&value), sizeof value});
}

/// No record of a ring has others; there are no epochs, as a ring's cursor says what is a message.
inline constexpr std::uint32_t most_flags = 15;

/// Changes with anything that both ends must agree about.
constexpr std::uint64_t layout_hash() noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::uint64_t fact : {std::uint64_t{sizeof(RingHeader)}, ring_offset, cursor_offset,
                                   std::uint64_t{sizeof(Cursor)}, std::uint64_t{sizeof(Aside)},
                                   std::uint64_t{file::header_bytes}, std::uint64_t{most_flags}}) {
    hash = (hash ^ fact) * 0x100000001b3;
  }
  return hash;
}

/// A larger message goes into a file of its own.
constexpr std::uint64_t most_in_ring(std::uint64_t capacity) noexcept {
  return capacity / 4 < file::most_payload ? capacity / 4 : file::most_payload;
}

}  // namespace bulkhead::transport::mmap

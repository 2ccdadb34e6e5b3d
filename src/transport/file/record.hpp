// SPDX-License-Identifier: Apache-2.0
//
// Records: what messages are made of in a file, whoever wrote it and whenever. Used by the log
// (file:) and by the ring (mmap:). docs/protocol/file.md says the same with the reasons.
//
// LAYOUT of a record (native byte order), at a multiple of 8
//   0   4  crc          CRC32C of the salt and of bytes 4 to 32: the header, and by payload_crc
//                       the payload
//   4   4  size         of the payload, at most most_payload
//   8   8  sequence     of the message; its pieces have the same
//   16  4  flags        8 bits, see below; above them the epoch, 24 random bits of the writer's opening
//   20  4  payload_crc  CRC32C of the payload, continued from the piece before it
//   24  8  synced       up to where its file was known to be on the disk when this was written;
//                       not_tracked where nobody asked for that
//   32     payload, then zeros up to a multiple of 8
// The salt is a random number of the file's own: what another file left in the same blocks of the
// disk is not taken for a record.
//
// Epochs: in a file a record has that of the one before it, or the flag `opens`: it is the first that
// a writer wrote since it opened the file. What an earlier writer had behind this place, cut off since
// and shown again by a disk that lost the new, is not taken for what follows.
//
// STATE of the records of one message: one without flags; or `more`, `more | next` ..., `next`.
// `end` (a log's alone): nothing follows in this file; sequence is that of the next file's first.
// `aside` (a ring's alone): the payload is an Aside, and the message lies in a file of its own.
// TRUST: a header is believed when its crc is right, a payload when its own is; size and sequence
// are checked against what the reader knows even then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>

#include <bulkhead/bytes.hpp>

#include "os/crc32c.hpp"

namespace bulkhead::transport::file {

struct RecordHeader {
  enum : std::uint32_t { none = 0, more = 1, next = 2, end = 4, aside = 8, opens = 16 };
  static constexpr std::uint32_t all_flags = 31;
  static constexpr unsigned epoch_shift = 8;
  static constexpr std::uint64_t not_tracked = ~std::uint64_t{0};

  std::uint32_t crc = 0;
  std::uint32_t size = 0;
  std::uint64_t sequence = 0;
  std::uint32_t flags = none;
  std::uint32_t payload_crc = 0;
  std::uint64_t synced = not_tracked;

  bool has(std::uint32_t flag) const noexcept { return (flags & flag) != 0; }
  std::uint32_t epoch() const noexcept { return flags >> epoch_shift; }
  /// Behind a record of the epoch `before`; nothing is known of it at the start of what is read.
  bool follows(std::optional<std::uint32_t> before) const noexcept {
    return has(opens) || !before || *before == epoch();
  }
};
static_assert(sizeof(RecordHeader) == 32 && std::is_trivially_copyable_v<RecordHeader>);
static_assert(offsetof(RecordHeader, sequence) == 8 && offsetof(RecordHeader, flags) == 16);
static_assert(offsetof(RecordHeader, payload_crc) == 20 && offsetof(RecordHeader, synced) == 24);

inline constexpr std::size_t header_bytes = sizeof(RecordHeader);
/// A larger message goes in pieces of this size.
inline constexpr std::size_t most_payload = std::size_t{1} << 20;

/// What a record with so much behind its header takes.
constexpr std::uint64_t record_bytes(std::uint64_t size) noexcept {
  return header_bytes + ((size + 7) & ~std::uint64_t{7});
}

inline std::uint32_t header_crc(const RecordHeader& header, std::uint64_t salt) noexcept {
  const auto* bytes = reinterpret_cast<const std::byte*>(&header);
  const auto start = os::crc32c({reinterpret_cast<const std::byte*>(&salt), sizeof salt});
  return os::crc32c({bytes + sizeof header.crc, sizeof header - sizeof header.crc}, start);
}

/// Whether its crc is right and its size and flags can be.
inline bool is_whole(const RecordHeader& header, std::uint64_t salt) noexcept {
  return header.crc == header_crc(header, salt) && header.size <= most_payload &&
         (header.flags & 0xff & ~RecordHeader::all_flags) == 0;
}

}  // namespace bulkhead::transport::file

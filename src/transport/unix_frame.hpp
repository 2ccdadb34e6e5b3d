// SPDX-License-Identifier: Apache-2.0
//
// What crosses the socket of the unix mechanism: packets of a SOCK_SEQPACKET socket, so that the
// kernel keeps their boundaries.
//
// LAYOUT of a packet (little-endian as the machine: both ends are on it)
//   offset  size  field
//   0       1     type
//   1       1     last: 1 in the last piece of a message, else 0
//   2       2     handles: descriptors beside this packet, at most 253
//   4       4     payload: bytes of payload that follow
//   8       n     payload
//   8 + n   2 m   for each handle its kind and its mechanism
// LAYOUT of the payload of a batch, once or more: the size of a message (4 bytes), its bytes; not
// aligned
//
// STATE of one direction, as the receiver sees it
//   new      --hello, version known--> idle     --hello, other version--> incompatible, for ever
//   new      --refused--> denied                (the listener does not let this user in)
//   idle     --whole--> idle                    delivers one message
//   idle     --handles--> gathering             descriptors of the next message, 253 a packet
//   idle, gathering --piece, not last--> partial --piece, last--> idle   delivers one message
//   gathering --whole--> idle                   delivers one message
//   idle     --batch--> idle                    delivers its messages
//   gathering, partial --abort--> idle          the sender's deadline came: nothing is delivered
//   any      --close--> closed                  the peer has closed in good order
//   any      --hang-up without close--> dead    the peer's process is gone
//   any      --anything else--> corrupt
#pragma once

#include <cstddef>
#include <cstdint>

#include <bulkhead/trust.hpp>

namespace bulkhead::transport::unix_frame {

enum class Type : std::uint8_t {
  hello = 1,
  whole = 2,
  piece = 3,
  handles = 4,
  abort = 5,
  close = 6,
  refused = 7,
  batch = 8,
};

using EntrySize = std::uint32_t;

struct Header {
  std::uint8_t type = 0;
  std::uint8_t last = 0;
  std::uint16_t handles = 0;
  std::uint32_t payload = 0;
};
static_assert(sizeof(Header) == 8 && offsetof(Header, last) == 1 &&
              offsetof(Header, handles) == 2 && offsetof(Header, payload) == 4);

/// The payload of the first packet each way. Later versions begin with the same twelve bytes.
struct Hello {
  std::uint64_t magic = 0x6b6c75622d786e75;  // "unx-bulk"
  std::uint32_t version = 2;
  std::uint32_t most_handles = 0;  // that its sender takes with one message
};
static_assert(sizeof(Hello) == 16 && offsetof(Hello, version) == 8 &&
              offsetof(Hello, most_handles) == 12);

struct Tag {
  std::uint8_t kind = 0;
  std::uint8_t mechanism = 0;
};
static_assert(sizeof(Tag) == 2);

/// Payload of a packet, at most. Larger packets would need larger allocations of the kernel.
inline constexpr std::size_t most_payload = 64 * 1024;
/// ... of a batch: what a receiver has in its cache while the sender makes the next.
inline constexpr std::size_t most_batch = 32 * 1024;
/// Handles of one message, at most: what a process with a common limit can hold at all, or, from an
/// untrusted peer, what it may have us hold. Nobody takes fewer than the latter.
constexpr std::size_t most_handles(Trust trust) noexcept {
  return trust == Trust::equal ? 4096 : 16;
}

}  // namespace bulkhead::transport::unix_frame

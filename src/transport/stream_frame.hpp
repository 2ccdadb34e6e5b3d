// SPDX-License-Identifier: Apache-2.0
//
// What crosses a stream of bytes: pipes, FIFOs with one writer, Unix stream sockets and TCP.
//
// LAYOUT of a frame (little-endian on every machine)
//   offset  size  field
//   0       4     size: bytes of payload that follow
//   4       1     type
//   5       3     zero
//   8       n     payload
//   8 + n   1     verdict, behind the payload of a data frame alone
//
// A message is one data frame or several. What becomes of it is said by the last byte of each, so
// that a sender whose deadline comes in the middle of a frame can take the message back: it fills
// the frame up with anything and says `take_back`. Nothing of a message that was given up need be
// kept, and the stream is never torn.
//
// STATE of one direction, as the receiver sees it
//   new      --hello, version known--> idle     --hello, other version--> incompatible, for ever
//   new      --refused--> denied                (the listener does not let this client in)
//   idle, partial --data, more--> partial       a piece of a message
//   idle, partial --data, last--> idle          delivers one message
//   idle, partial --data, take_back--> idle     its sender gave it up: nothing is delivered
//   idle, partial --ping--> the same            the sender is alive; nothing else
//   any      --close--> closed                  the peer has closed in good order
//   any      --end of stream without close--> dead
//   any      --anything else--> corrupt
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace bulkhead::transport::stream_frame {

enum class Type : std::uint8_t {
  hello = 1,
  data = 2,
  close = 3,
  refused = 4,
  ping = 5,
};

enum class Verdict : std::uint8_t {
  more = 0,
  last = 1,
  take_back = 2,
};

template <class Integer> constexpr Integer little(Integer value) noexcept {
  if constexpr (std::endian::native == std::endian::little) return value;
  Integer swapped = 0;
  for (std::size_t i = 0; i < sizeof value; ++i, value >>= 8) {
    swapped = static_cast<Integer>(swapped << 8 | (value & 0xff));
  }
  return swapped;
}

struct Header {
  std::uint32_t size = 0;
  Type type{};
  std::uint8_t zero[3] = {};

  constexpr Header() noexcept = default;
  constexpr Header(Type what, std::size_t payload) noexcept
      : size(little(static_cast<std::uint32_t>(payload))), type(what) {}

  constexpr std::size_t payload() const noexcept { return little(size); }
};
static_assert(sizeof(Header) == 8 && offsetof(Header, type) == 4);

/// The payload of the first frame each way. Later versions begin with the same twelve bytes.
struct Hello {
  std::uint64_t magic = little<std::uint64_t>(0x6b6c75622d727473);  // "str-bulk"
  std::uint32_t version = little<std::uint32_t>(1);
  std::uint32_t spare = 0;
};
static_assert(sizeof(Hello) == 16 && offsetof(Hello, version) == 8);

/// Payload of one frame, at most: what a sender that gives up has to fill up. No other frame than
/// data has more than `most_control`.
inline constexpr std::size_t most_payload = 256 * 1024;
inline constexpr std::size_t most_control = 256;

}  // namespace bulkhead::transport::stream_frame

// SPDX-License-Identifier: Apache-2.0
//
// The frames of a Session, each one message on its channel.
//
// LAYOUT Frame header, 32 bytes, little-endian; then the payload (values as in docs/protocol/wire.md)
//   offset size field      written by  meaning
//        0    1 kind       sender      one of Kind below
//        1    1 flags      sender      bit 0: the payload is an Error instead of the result
//        2    2 version    sender      1; another is `incompatible`
//        4    4 credit     caller      request of a stream, credit: how many more items may come
//        8    8 call       caller      the call's number; reply, item and end repeat it
//       16    8 method     caller      request, one_way: the method's fingerprint; else 0
//       24    8 budget_ns  caller      request, one_way: time left, ns; -1: no deadline; else 0
//
// STATE of a call, at its caller
//   waiting --reply received--> done        --end of the channel--> failed
//           --deadline, drop--> abandoned (cancel is sent; a late reply is ignored)
// STATE of a stream, at its consumer
//   open --item--> open (queued) --end--> drained, then done       --dropped--> cancel is sent
// STATE of a call, at its server
//   queued --taken--> running --returns--> replied --stream opened--> producing (while credit > 0)
//   any --cancel, or end of the channel--> cancelled (its result is not sent)
//
// TRUST: a header is copied out of the private copy of the message before it is looked at. An
// unknown kind or a short frame ends the session as `corrupt`; an unknown call number is ignored,
// since calls may be abandoned while their reply is under way.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>

#include <bulkhead/detail/service/session.hpp>

namespace bulkhead::service {

enum class Kind : std::uint8_t {
  request = 1,
  one_way = 2,
  reply = 3,
  cancel = 4,
  item = 5,
  end = 6,
  credit = 7,
};

inline constexpr std::uint8_t flag_error = 1;
inline constexpr std::uint16_t frame_version = 1;

struct FrameHeader {
  std::uint8_t kind = 0;
  std::uint8_t flags = 0;
  std::uint16_t version = frame_version;
  std::uint32_t credit = 0;
  std::uint64_t call = 0;
  std::uint64_t method = 0;
  std::int64_t budget_ns = 0;
};
static_assert(sizeof(FrameHeader) == detail::frame_header_bytes);
static_assert(offsetof(FrameHeader, version) == 2 && offsetof(FrameHeader, credit) == 4);
static_assert(offsetof(FrameHeader, call) == 8 && offsetof(FrameHeader, method) == 16);
static_assert(offsetof(FrameHeader, budget_ns) == 24);
static_assert(std::endian::native == std::endian::little, "swap bytes here for another order");

inline void write_header(std::span<std::byte> frame, const FrameHeader& header) noexcept {
  std::memcpy(frame.data(), &header, sizeof header);
}

/// Nothing when it is not a frame.
inline std::optional<FrameHeader> read_header(Bytes frame) noexcept {
  FrameHeader header;
  if (frame.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, frame.data(), sizeof header);
  const bool known = header.kind >= static_cast<std::uint8_t>(Kind::request) &&
                     header.kind <= static_cast<std::uint8_t>(Kind::credit);
  if (!known) return std::nullopt;
  return header;
}

}  // namespace bulkhead::service

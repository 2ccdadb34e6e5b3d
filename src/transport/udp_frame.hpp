// SPDX-License-Identifier: Apache-2.0
//
// What crosses UDP: one datagram a message, with a small header.
//
// LAYOUT of a datagram (big-endian, as networks are)
//   offset  size  field
//   0       2     magic 0xb0d8
//   2       1     version
//   3       1     type
//   4       4     sequence: of data, the number of messages sent before, modulo 2^32; of close, how
//                 many there were; else 0
//   8       8     session: chosen at random by the client, the same both ways
//   16      n     payload: of data the message; of hello and challenge a cookie of 8 bytes
//
// STATE of a connection
//   client: new      --send hello--> greeting
//           greeting --challenge--> greeting      sends hello again, with the cookie
//           greeting --unknown--> greeting        sends hello again
//           greeting --welcome or data--> joined
//           greeting, joined --refused--> closed  the listener is closing, or speaks another version
//           joined   --unknown--> dead            the peer has forgotten us: it was started anew
//   server: (none)   --hello from a loopback address, or with the right cookie--> joined
//           (none)   --hello without--> (none)    sends challenge: nothing is kept of it
//           (none)   --data--> (none)             sends unknown
//           joined   --hello--> joined            sends welcome
//   both:   joined   --data--> joined             delivers one message
//           any      --close--> closed
//           any      --ICMP says that nobody is there--> dead
//
// An answer to somebody unknown is never longer than what they sent: a forged source address gets
// nobody flooded. TRUST: what has another magic or session is not from the peer, whoever sent it,
// and is dropped: it cannot end a connection. What has the session and breaks the protocol ends it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <bulkhead/bytes.hpp>

namespace bulkhead::transport::udp_frame {

enum class Type : std::uint8_t {
  hello = 1,
  challenge = 2,
  welcome = 3,
  data = 4,
  unknown = 5,
  close = 6,
  refused = 7,
};

inline constexpr std::uint16_t magic = 0xb0d8;
inline constexpr std::uint8_t version = 1;
inline constexpr std::size_t header_bytes = 16;
inline constexpr std::size_t cookie_bytes = 8;

/// The most in one datagram: 65,535 less the headers of UDP (8) and, for IPv4 alone, IP (20).
inline constexpr std::size_t most_ipv4 = 65'507;
inline constexpr std::size_t most_ipv6 = 65'527;
constexpr std::size_t most_payload(bool is_ipv6) noexcept {
  return (is_ipv6 ? most_ipv6 : most_ipv4) - header_bytes;
}

struct Header {
  Type type{};
  std::uint32_t sequence = 0;
  std::uint64_t session = 0;
  std::uint8_t version = udp_frame::version;
};

using Head = std::array<std::byte, header_bytes>;
using Cookie = std::uint64_t;

template <class Integer> void put(std::byte* to, Integer value) noexcept {
  for (std::size_t i = sizeof value; i > 0; --i, value = static_cast<Integer>(value >> 8)) {
    to[i - 1] = static_cast<std::byte>(value & 0xff);
  }
}

template <class Integer> Integer get(const std::byte* from) noexcept {
  Integer value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) {
    value = static_cast<Integer>(value << 8 | static_cast<Integer>(from[i]));
  }
  return value;
}

inline Head pack(const Header& header) noexcept {
  Head head;
  put(head.data(), magic);
  head[2] = static_cast<std::byte>(header.version);
  head[3] = static_cast<std::byte>(header.type);
  put(head.data() + 4, header.sequence);
  put(head.data() + 8, header.session);
  return head;
}

/// Nothing when it is none of ours. The type may be an unknown one, the version another.
inline std::optional<Header> unpack(Bytes datagram) noexcept {
  if (datagram.size() < header_bytes || get<std::uint16_t>(datagram.data()) != magic) {
    return std::nullopt;
  }
  return Header{.type = static_cast<Type>(datagram[3]),
                .sequence = get<std::uint32_t>(datagram.data() + 4),
                .session = get<std::uint64_t>(datagram.data() + 8),
                .version = static_cast<std::uint8_t>(datagram[2])};
}

/// A hello or a challenge.
using WithCookie = std::array<std::byte, header_bytes + cookie_bytes>;
inline WithCookie pack(const Header& header, Cookie cookie) noexcept {
  WithCookie datagram{};
  const Head head = pack(header);
  for (std::size_t i = 0; i < head.size(); ++i) datagram[i] = head[i];
  put(datagram.data() + header_bytes, cookie);
  return datagram;
}
inline std::optional<Cookie> cookie_of(Bytes datagram) noexcept {
  if (datagram.size() != header_bytes + cookie_bytes) return std::nullopt;
  return get<Cookie>(datagram.data() + header_bytes);
}

}  // namespace bulkhead::transport::udp_frame

// SPDX-License-Identifier: Apache-2.0
//
// Any packets into an end of a channel over a Unix socket: hellos, messages, batches, pieces, handles.
// Who polls sees whatever is left of a batch.
//
// The first byte chooses trust (bit 0), whether a good hello goes first (1), and whether the victim
// is polled (2). Then packets follow: type; descriptors (low half) and, in the high half, whether the
// header is true (0: it fits the bytes), says `last` (1) or is left out (2); size (2 bytes); bytes.
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "link_victim.hpp"
#include "os/poll.hpp"
#include "os/socket.hpp"
#include "transport/unix_frame.hpp"
#include "transport/unix_socket.hpp"

namespace {

using namespace bulkhead;
using namespace bulkhead::fuzz;
using namespace bulkhead::transport;
using unix_frame::Header;
using unix_frame::Hello;
using unix_frame::Type;

std::vector<std::byte> packet_of(const Header& header, Bytes bytes) {
  std::vector<std::byte> packet(sizeof header + bytes.size());
  std::memcpy(packet.data(), &header, sizeof header);
  if (!bytes.empty()) std::memcpy(packet.data() + sizeof header, bytes.data(), bytes.size());
  return packet;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Trust trust = (*data & 1) != 0 ? Trust::equal : Trust::untrusted;
  auto ends = os::socket_pair();
  require(ends.has_value());
  auto victim =
      adopt_unix(std::move(ends->first), {.trust = trust, .max_message_bytes = most_message});
  require(victim.has_value());
  const FdView peer = ends->second;
  if ((*data & 2) != 0) {
    const Hello hello;
    const Header header{.type = static_cast<std::uint8_t>(Type::hello), .payload = sizeof hello};
    const auto packet = packet_of(header, std::as_bytes(std::span{&hello, 1}));
    require(os::send_packet(peer, packet).has_value());
  }
  const bool polled = (*data & 4) != 0;
  Bytes rest = std::as_bytes(std::span{data, size}.subspan(1));
  while (rest.size() >= 4) {
    const auto what = std::to_integer<unsigned>(rest[1]);
    Header header{.type = std::to_integer<std::uint8_t>(rest[0]),
                  .last = static_cast<std::uint8_t>((what >> 4) & 1)};
    const std::size_t length =
        std::to_integer<std::size_t>(rest[2]) | std::to_integer<std::size_t>(rest[3]) << 8;
    rest = rest.subspan(4);
    const std::vector<int> fds(what & 15, peer.native());
    const Bytes bytes = take(rest, length);
    const std::size_t tags = fds.size() * sizeof(unix_frame::Tag);
    header.handles = static_cast<std::uint16_t>(fds.size());
    header.payload = static_cast<std::uint32_t>(bytes.size() - std::min(bytes.size(), tags));
    const bool is_bare = ((what >> 4) & 2) != 0;
    const auto packet =
        is_bare ? std::vector(bytes.begin(), bytes.end()) : packet_of(header, bytes);
    if (packet.empty() || !os::send_packet(peer, packet, fds)) break;
    if (polled) {
      Message message;
      const FdView readable = (*victim)->readable().value();
      // Nothing that can be received is hidden from who polls.
      while (true) {
        const bool shown = os::poll_one(readable, POLLIN, no_wait).value() != 0;
        const auto got = (*victim)->receive(message, no_wait);
        require(shown || (!got && got.error() == ErrorKind::empty));
        if (!got) break;
      }
    }
    if (!receive_all(**victim, unix_frame::most_handles(trust))) break;
  }
  const auto sent = (*victim)->send(as_bytes("still there?"), {}, no_wait);
  require(sent || sent.error() == ErrorKind::full || a_peer_can_cause(sent.error()));
  return 0;
}

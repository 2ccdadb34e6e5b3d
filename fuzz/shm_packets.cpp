// SPDX-License-Identifier: Apache-2.0
//
// Any packets into an end of a shm channel, over its control socket: hellos, records, handles, moved,
// bye, with descriptors beside them. Whatever comes, a message is delivered within its bounds, or the
// link has ended with one of the kinds that a peer can cause, and stays so.
//
// The first byte chooses trust, whether the victim has memory, and whether a good hello without
// memory goes first. Then packets follow: a byte for descriptors (low half) and, in its high half,
// the kind of a good packet head that goes before the bytes (15: none); size (2 bytes); bytes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "os/poll.hpp"
#include "os/socket.hpp"
#include "transport/shm/control.hpp"
#include "transport/shm/shm_link.hpp"

namespace {

using namespace bulkhead;
using namespace bulkhead::transport;

constexpr std::size_t most = 64 * 1024;

void require(bool holds) {
  if (!holds) std::abort();
}

bool a_peer_can_cause(const Error& error) {
  return error == ErrorKind::corrupt || error == ErrorKind::incompatible ||
         error == ErrorKind::closed || error == ErrorKind::peer_died;
}

/// Everything that is there. False when the link has ended.
bool receive_all(Link& victim, std::size_t most_handles) {
  Message message;
  for (;;) {
    const auto got = victim.receive(message, no_wait);
    if (got) {
      require(message.size() <= most && message.handles().size() <= most_handles);
      continue;
    }
    if (got.error() == ErrorKind::empty) return true;
    require(a_peer_can_cause(got.error()) && !got.error().sentence().empty());
    require(victim.receive(message, no_wait).error() == got.error().kind());
    return false;
  }
}

Bytes take(Bytes& from, std::size_t size) {
  const Bytes taken = from.first(std::min(size, from.size()));
  from = from.subspan(taken.size());
  return taken;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Trust trust = (*data & 1) != 0 ? Trust::equal : Trust::untrusted;
  auto ends = os::socket_pair();
  require(ends.has_value());
  auto victim = adopt_shm(std::move(ends->first),
                          {.trust = trust, .capacity_bytes = 4096, .max_message_bytes = most},
                          {.no_memory = (*data & 2) != 0});
  require(victim.has_value());
  const FdView control = ends->second;
  if ((*data & 4) != 0) {
    require(shm::Control{control}.send_hello_without_memory(trust).has_value());
  }
  Bytes rest = std::as_bytes(std::span{data, size}.subspan(1));
  while (rest.size() >= 3) {
    const auto what = std::to_integer<unsigned>(rest[0]);
    const std::size_t length =
        std::to_integer<std::size_t>(rest[1]) | std::to_integer<std::size_t>(rest[2]) << 8;
    rest = rest.subspan(3);
    std::vector<std::byte> packet;
    if (const unsigned kind = what >> 4; kind != 15) {
      const shm::PacketHead head{.magic = shm::magic,
                                 .kind = static_cast<std::uint16_t>(kind),
                                 .version = shm::protocol_version};
      packet.resize(sizeof head);
      std::memcpy(packet.data(), &head, sizeof head);
    }
    const Bytes bytes = take(rest, length);
    packet.insert(packet.end(), bytes.begin(), bytes.end());
    const std::vector<int> fds(what & 15, control.native());
    if (packet.empty() || !os::send_packet(control, packet, fds)) break;
    if (!receive_all(**victim, shm::most_handles(trust))) break;
  }
  const auto sent = (*victim)->send(as_bytes("still there?"), {}, no_wait);
  require(sent || sent.error() == ErrorKind::full || a_peer_can_cause(sent.error()));
  return 0;
}

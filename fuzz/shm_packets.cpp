// SPDX-License-Identifier: Apache-2.0
//
// Any packets into an end of a shm channel, over its control socket: hellos, records, handles, moved,
// bye, with descriptors beside them. Whatever comes, a message is delivered within its bounds, or the
// link has ended with one of the kinds that a peer can cause, and stays so.
//
// The first byte chooses trust, whether the victim has memory, and whether a good hello without
// memory goes first. Then packets follow: a byte for descriptors (low half) and, in its high half,
// the kind of a good packet head that goes before the bytes (15: none); size (2 bytes); bytes.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "link_victim.hpp"
#include "os/socket.hpp"
#include "transport/shm/control.hpp"
#include "transport/shm/shm_link.hpp"

namespace {

using namespace bulkhead;
using namespace bulkhead::fuzz;
using namespace bulkhead::transport;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Trust trust = (*data & 1) != 0 ? Trust::equal : Trust::untrusted;
  auto ends = os::socket_pair();
  require(ends.has_value());
  auto victim =
      adopt_shm(std::move(ends->first),
                {.trust = trust, .capacity_bytes = 4096, .max_message_bytes = most_message},
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

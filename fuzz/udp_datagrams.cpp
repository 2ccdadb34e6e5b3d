// SPDX-License-Identifier: Apache-2.0
//
// Datagrams as a peer, or anybody who forges its address, can send them. Whatever comes: an end is
// told once and for ever, what is not of the session changes nothing, and the numbers add up.
//
// The first byte chooses the role and whether the session is known; then, for each datagram, a byte
// of size and so many bytes. In the corpus are conversations that a minimised run began with.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "transport/udp_hearing.hpp"

namespace {

using namespace bulkhead;
using transport::UdpHearing;
using Verdict = UdpHearing::Verdict;
namespace udp_frame = transport::udp_frame;

constexpr std::uint64_t session = 0x0102030405060708;

void require(bool holds) {
  if (!holds) std::abort();
}

/// The datagram with a header that is nearly right: magic, and session where it is known.
std::vector<std::byte> dressed(Bytes bytes, bool knows_session) {
  std::vector<std::byte> datagram{bytes.begin(), bytes.end()};
  if (datagram.size() < udp_frame::header_bytes) return datagram;
  udp_frame::put(datagram.data(), udp_frame::magic);
  if (datagram[2] < std::byte{0xf0}) datagram[2] = std::byte{udp_frame::version};
  if (knows_session) udp_frame::put(datagram.data() + 8, session);
  return datagram;
}

void judge(UdpHearing& hearing, Bytes bytes, bool knows_session) {
  const auto datagram = dressed(bytes, knows_session);
  const bool was_over = hearing.error().has_value();
  const Losses before = hearing.losses();
  const Verdict verdict = hearing.hear(datagram);
  const Losses after = hearing.losses();
  require((verdict == Verdict::ended) == hearing.error().has_value());
  if (was_over) require(verdict == Verdict::ended && after.lost == before.lost);
  const auto header = udp_frame::unpack(datagram);
  const bool is_group = hearing.role() == UdpHearing::Role::group;
  if (!header || (!is_group && header->session != session)) {
    require(was_over || verdict == Verdict::ignore);
  }
  if (verdict == Verdict::deliver) {
    require(header && header->type == udp_frame::Type::data);
    require(after.duplicated == before.duplicated);
  }
  require(after.reordered >= before.reordered && after.duplicated >= before.duplicated);
  require(after.reordered - before.reordered <= 1);
  if (hearing.error()) require(!hearing.error()->sentence().empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  UdpHearing hearing{static_cast<UdpHearing::Role>(*data & 3), session};
  const bool knows_session = (*data & 4) != 0;
  Bytes rest = std::as_bytes(std::span{data, size}.subspan(1));
  while (!rest.empty()) {
    const std::size_t length = std::min(static_cast<std::size_t>(rest[0]), rest.size() - 1);
    judge(hearing, rest.subspan(1, length), knows_session);
    rest = rest.subspan(1 + length);
  }
  return 0;
}

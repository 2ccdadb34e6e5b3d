// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/inbox.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "transport/shm/control.hpp"

namespace bulkhead::transport::shm {
namespace {

bool is_bye(Bytes packet) noexcept {
  PacketHead head;
  if (packet.size() < sizeof head) return false;
  std::memcpy(&head, packet.data(), sizeof head);
  return head.magic == magic && head.kind == PacketHead::bye;
}

}  // namespace

/// An end that closes with packets unread resets its peer: one receive then fails, though what was
/// sent before is still there for the next (unix_release_sock, Linux).
Result<os::Packet> next_in(FdView socket, MutableBytes into, std::size_t most_fds) {
  auto packet = os::receive_packet(socket, into, most_fds);
  if (packet && packet->closed) packet = os::receive_packet(socket, into, most_fds);
  return packet;
}

Result<os::Packet> Inbox::next(FdView socket, MutableBytes into, std::size_t most_fds) {
  const std::lock_guard lock{mutex_};
  if (kept_.empty()) {
    if (lost_) return fail(*lost_);
    auto packet = next_in(socket, into, most_fds);
    if (packet) bye_came_ |= is_bye(into.first(packet->size));
    return packet;
  }
  Kept first = std::move(kept_.front());
  kept_.pop_front();
  if (first.bytes.size() > into.size() || first.fds.size() > most_fds) {
    return fail(ErrorKind::corrupt, {.operation = "receive",
                                     .object = "packet",
                                     .cause = "the peer sent more than the protocol allows"});
  }
  std::ranges::copy(first.bytes, into.begin());
  return os::Packet{.size = first.bytes.size(), .closed = false, .fds = std::move(first.fds)};
}

bool Inbox::keep_all(FdView socket) {
  const std::lock_guard lock{mutex_};
  try {
    std::vector<std::byte> room(longest_record_packet);
    while (!lost_) {
      auto packet = next_in(socket, room, os::max_packet_fds);
      if (!packet && packet.error() != ErrorKind::empty) lost_ = std::move(packet).error();
      if (!packet || packet->closed) break;
      bye_came_ |= is_bye(Bytes{room}.first(packet->size));
      kept_.push_back(
          {.bytes = {room.data(), room.data() + packet->size}, .fds = std::move(packet->fds)});
    }
  } catch (const std::bad_alloc&) {
    lost_ = Error{
        ErrorKind::exhausted,
        {.operation = "receive", .object = "packet", .cause = "no memory for one that arrived"}};
  }
  return bye_came_;
}

}  // namespace bulkhead::transport::shm

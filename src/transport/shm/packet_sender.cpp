// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/packet_sender.hpp"

#include <algorithm>
#include <poll.h>

#include "os/poll.hpp"

namespace bulkhead::transport::shm {

Result<void> PacketSender::await_room(Deadline deadline) {
  const auto events = BULKHEAD_TRY(os::poll_one(binding_->control_socket(), POLLOUT, deadline));
  if (events != 0) return {};
  return fail(deadline == os::no_wait ? ErrorKind::full : ErrorKind::timed_out);
}

Result<void> PacketSender::add(RecordHeader header, Bytes total, Bytes payload,
                               std::span<const Handle> handles, Deadline deadline) {
  for (;;) {
    auto sent = binding_->control().send_record(header, total, payload, handles);
    if (sent || sent.error() != ErrorKind::full || deadline == os::no_wait) return sent;
    BULKHEAD_TRY(await_room(deadline));
  }
}

Result<void> PacketSender::send(Bytes bytes, std::span<const Handle> handles, std::size_t& done,
                                Deadline deadline) {
  const std::size_t piece =
      std::clamp<std::size_t>(binding_->socket_room() / 2, 1024, most_in_packet) - total_bytes;
  std::uint32_t flags = handles.empty() ? RecordHeader::none : RecordHeader::handles;
  const auto header = [&](std::size_t size) {
    return RecordHeader{.size = static_cast<std::uint32_t>(size), .flags = flags};
  };
  if (bytes.size() <= piece) return add(header(bytes.size()), {}, bytes, handles, deadline);
  const std::uint64_t total = bytes.size();
  while (done < bytes.size()) {
    const Bytes part = bytes.subspan(done, std::min(piece, bytes.size() - done));
    if (done == 0) {
      flags |= RecordHeader::more;
      BULKHEAD_TRY(add(header(total_bytes + part.size()), std::as_bytes(std::span{&total, 1}), part,
                       handles, deadline));
    } else {
      flags = RecordHeader::next;
      if (done + part.size() < bytes.size()) flags |= RecordHeader::more;
      BULKHEAD_TRY(add(header(part.size()), {}, part, {}, deadline));
    }
    done += part.size();
  }
  return {};
}

void PacketSender::take_back(std::size_t done) noexcept {
  if (done == 0) return;
  abort_owed_ =
      true;  // the socket may be full of what is to be taken back: then the next send pays
  static_cast<void>(settle(os::no_wait));
}

Result<void> PacketSender::settle(Deadline deadline) {
  if (!abort_owed_) return {};
  BULKHEAD_TRY(
      add({.size = 0, .flags = RecordHeader::abort | RecordHeader::next}, {}, {}, {}, deadline));
  abort_owed_ = false;
  return {};
}

}  // namespace bulkhead::transport::shm

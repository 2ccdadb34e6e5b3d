// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/ring_writer.hpp"

namespace bulkhead::transport::shm {

bool RingWriter::look_for_room(std::uint64_t bytes) noexcept {
  if (lied_to_) return false;
  // Nothing that is not published can have been consumed.
  if (head_.judge(peer_.head(), published_) == PeerCursor::Seen::lie) {
    lied_to_ = true;
    return false;
  }
  return tail_ + bytes - head_.accepted() <= capacity_;
}

void RingWriter::add_first_piece(std::uint32_t flags, std::uint64_t total, Bytes part) noexcept {
  // ORDER(shm.header.write): as for the header; pairs with ORDER(shm.header.read).
  reinterpret_cast<std::atomic<std::uint64_t>*>(payload())->store(total, std::memory_order_relaxed);
  copy_bytes(payload() + total_bytes, part.data(), part.size());
  add({.size = static_cast<std::uint32_t>(total_bytes + part.size()), .flags = flags});
}

void RingWriter::ring() noexcept {
  const auto now = Deadline::Clock::now().time_since_epoch();
  // ORDER(shm.rang.tell): relaxed, a hint; pairs with ORDER(shm.rang.look).
  own_->rang_data_at.store(static_cast<std::uint64_t>(now.count()), std::memory_order_relaxed);
  bell_->ring();
}

}  // namespace bulkhead::transport::shm

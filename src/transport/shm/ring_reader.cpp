// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/ring_reader.hpp"

#include <bulkhead/deadline.hpp>

namespace bulkhead::transport::shm {

void RingReader::ring() noexcept {
  const auto now = Deadline::Clock::now().time_since_epoch();
  // ORDER(shm.rang.tell): relaxed, a hint; pairs with ORDER(shm.rang.look).
  own_->rang_space_at.store(static_cast<std::uint64_t>(now.count()), std::memory_order_relaxed);
  bell_->ring();
}

}  // namespace bulkhead::transport::shm

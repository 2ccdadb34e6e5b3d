// SPDX-License-Identifier: Apache-2.0
//
// Two pages a worker, each written by one side and published to the other, which can only read it:
// what a message would tell too late, because a worker at work reads none.
//
// LAYOUT Orders, written by the master, read by the worker
//   0  revoked_from  u64  tickets from this one on must not begin
//   8  cancelled     u64  the ticket that is to end soon
//   16 initializer   u64  its entry's offset in the executable; 0: none
//   24 threads       u64  that a task is to use
// LAYOUT Status, written by the worker, read by the master
//   0  running       u64  the ticket that was begun last
//
// A task that was sent ahead can be given to another worker without asking: the worker writes the
// ticket that it is about to begin and then looks whether it may; the master revokes and then looks
// what has begun. Both orders are sequentially consistent, so one of the two sees the other, and no
// task begins twice. The words have one writer each, so no worker can spoil what the master decides.
// TRUST: `running` is believed only where it is an open ticket of that worker; one that lies shifts
// the blame among its own tasks.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

#include <bulkhead/region.hpp>

namespace bulkhead::pool {

struct Orders {
  static constexpr std::uint64_t none_revoked = std::numeric_limits<std::uint64_t>::max();
  std::atomic<std::uint64_t> revoked_from{none_revoked};
  std::atomic<std::uint64_t> cancelled{0};
  std::uint64_t initializer = 0;
  std::uint64_t threads = 1;
};

struct Status {
  std::atomic<std::uint64_t> running{0};
};

static_assert(sizeof(Orders) == 32 && offsetof(Orders, cancelled) == 8 &&
              offsetof(Orders, initializer) == 16 && offsetof(Orders, threads) == 24 &&
              sizeof(Status) == 8);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

template <class Page> Page* write_page(Region& region) {
  return new (region.mutable_bytes().data()) Page;
}
template <class Page> const Page* read_page(const Region& region) {
  return reinterpret_cast<const Page*>(region.bytes().data());
}

}  // namespace bulkhead::pool

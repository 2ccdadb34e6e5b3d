// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/waiting.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <sched.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

namespace bulkhead::transport::shm {

WaitPolicy::Way WaitPolicy::choose(bool peer_on_our_cpu) noexcept {
  if (place_.always_sleep) return Way::sleep;
  if (!peer_on_our_cpu) return Way::spin;
  // Yielding keeps two threads on one processor for ever, though each might have its own: a real
  // sleep lets the waker's kernel put this one on an idle processor. Tried ever more rarely.
  if (place_.may_move && ++shared_waits_ >= separate_after_) {
    shared_waits_ = 0;
    separate_after_ = std::min(2 * separate_after_, last_separation);
    return Way::sleep;
  }
  return Way::yield;
}

WaitPolicy::Nanoseconds WaitPolicy::spin_for() const noexcept {
  return std::popcount(recent_) >= 4 ? longest_spin() : short_spin;
}

void WaitPolicy::woken(Nanoseconds waited, Nanoseconds wake) noexcept {
  // Before the new sample moves what it is compared with.
  remember(waited - wake_);
  wake_ += (std::clamp(wake, shortest_wake, longest_wake) - wake_) / 8;
}

void WaitPolicy::remember(Nanoseconds waited) noexcept {
  recent_ = static_cast<std::uint16_t>(recent_ << 1 | (waited <= longest_spin() ? 1 : 0));
}

std::uint32_t this_cpu() noexcept {
#if __has_include(<sys/rseq.h>)
  // glibc registers an area for each thread, into which the kernel writes the processor (rseq(2)).
  if (__rseq_size != 0) {
    const auto* const area = reinterpret_cast<const volatile struct rseq*>(
        static_cast<const char*>(__builtin_thread_pointer()) + __rseq_offset);
    return area->cpu_id + 1;
  }
#endif
  const int cpu = ::sched_getcpu();
  return cpu < 0 ? 0 : static_cast<std::uint32_t>(cpu) + 1;
}

bool may_change_cpu() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  // More than 1,024 processors do not fit the set: EINVAL, and then there are many.
  return ::sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) > 1;
}

}  // namespace bulkhead::transport::shm

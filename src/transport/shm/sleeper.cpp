// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/sleeper.hpp"

#include <array>

#include "os/poll.hpp"

namespace bulkhead::transport::shm {
namespace {

constexpr short gone = POLLHUP | POLLRDHUP | POLLERR | POLLNVAL;

}  // namespace

Sleeper::Sleeper(For what, Words& own, PeerWords peer, const BellWatch& bell, WakeSet& wake_set,
                 FdView control, WaitPolicy::Place place) noexcept
    : what_(what),
      own_(&own),
      word_(what == For::data ? &own.wait_data : &own.wait_space),
      peer_(peer),
      bell_(&bell),
      wake_set_(&wake_set),
      control_(control),
      policy_(place) {}

bool Sleeper::peer_shares_cpu() noexcept {
  const std::uint32_t cpu = this_cpu();
  // ORDER(shm.cpu.tell): relaxed, a hint; pairs with ORDER(shm.cpu.look). Both threads of an end
  // tell, hence the look at what stands there.
  if (own_->cpu.load(std::memory_order_relaxed) != cpu) {
    own_->cpu.store(cpu, std::memory_order_relaxed);
  }
  return cpu != 0 && peer_.cpu() == cpu;
}

void Sleeper::arm() noexcept {
  epoch_ += 1 + (epoch_ & 1);
  // Before the new epoch is told: a ring for it must stay in the bell until it has woken us.
  if (bell_->fills_up() && epoch_ / 2 % epochs_between_drains == 0) bell_->drain();
  // ORDER(shm.wait.sleep): relaxed; the fence that follows orders it before the next look at the
  // peer's cursor; pairs with ORDER(shm.wait.look).
  word_->store(epoch_, std::memory_order_relaxed);
  os::fence_seq_cst();
}

Wake Sleeper::disarm(Wake wake) noexcept {
  ++epoch_;
  // ORDER(shm.wait.awake): relaxed; seen late it costs a needless ring; pairs with
  // ORDER(shm.wait.look).
  word_->store(epoch_, std::memory_order_relaxed);
  return wake;
}

void Sleeper::arm_for_outside() noexcept {
  bell_->drain();
  arm();
}

bool Sleeper::hung_up() const noexcept {
  // The bell too: to those who wait outside a bell without its ringer would be readable for ever.
  std::array<pollfd, 2> fds{pollfd{.fd = control_.native(), .events = POLLRDHUP, .revents = 0},
                            pollfd{.fd = bell_->fd().native(), .events = 0, .revents = 0}};
  const auto ready = os::poll(fds, os::no_wait);
  return !ready || ((fds[0].revents | fds[1].revents) & gone) != 0;
}

WakeSet::Woken Sleeper::sleep(Deadline deadline, int rings_without_news) noexcept {
  if (rings_without_news <= patience_with_rings) return wake_set_->wait(deadline);
  pollfd entry{.fd = control_.native(), .events = POLLRDHUP, .revents = 0};
  const auto ready = os::poll({&entry, 1}, earlier(deadline, Deadline{pause_for_liars}));
  if (!ready || (entry.revents & gone) != 0) return WakeSet::Woken::hung_up;
  return deadline.expired() ? WakeSet::Woken::timed_out : WakeSet::Woken::rung;
}

void Sleeper::learn(Deadline::Clock::time_point began) noexcept {
  const auto now = Deadline::Clock::now();
  const std::uint64_t rang_at = what_ == For::data ? peer_.rang_data_at() : peer_.rang_space_at();
  // Without a sign: a peer may say anything. WaitPolicy clamps it.
  const auto since = static_cast<std::uint64_t>(now.time_since_epoch().count()) - rang_at;
  policy_.woken(now - began, std::chrono::nanoseconds{static_cast<std::int64_t>(since)});
}

}  // namespace bulkhead::transport::shm

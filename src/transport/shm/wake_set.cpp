// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/wake_set.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "os/syscall.hpp"

namespace bulkhead::transport::shm {
namespace {

enum Who : std::uint32_t { bell = 0, control = 1, clock = 2 };

constexpr std::uint32_t gone = EPOLLHUP | EPOLLRDHUP | EPOLLERR;

bool watch(FdView epoll, FdView fd, Who who, std::uint32_t events) noexcept {
  epoll_event event{.events = events, .data = {.u32 = who}};
  return ::epoll_ctl(epoll.native(), EPOLL_CTL_ADD, fd.native(), &event) == 0;
}

}  // namespace

Result<WakeSet> WakeSet::create() {
  Fd epoll = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return os::failed("make", "epoll descriptor");
  Fd timer = Fd::adopt(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) return os::failed("make", "timer");
  if (!watch(epoll, timer, clock, EPOLLIN | EPOLLET)) return os::failed("watch", "timer");
  return WakeSet{std::move(epoll), std::move(timer)};
}

Result<void> WakeSet::add(FdView the_bell, FdView the_control) {
  if (!watch(epoll_, the_bell, bell, EPOLLIN | EPOLLET) ||
      !watch(epoll_, the_control, control, EPOLLRDHUP)) {
    return os::failed("watch", "channel");
  }
  return {};
}

bool WakeSet::arm(Deadline deadline) noexcept {
  if (armed_ <= deadline) return true;  // it goes off in time; too early costs one turn
  const auto at = std::max<std::int64_t>(1, deadline.at().time_since_epoch().count());
  itimerspec when{};
  when.it_value.tv_sec = at / 1'000'000'000;
  when.it_value.tv_nsec = at % 1'000'000'000;
  if (::timerfd_settime(timer_.native(), TFD_TIMER_ABSTIME, &when, nullptr) != 0) return false;
  armed_ = deadline;
  return true;
}

WakeSet::Woken WakeSet::wait(Deadline deadline) noexcept {
  for (;;) {
    if (!arm(deadline)) return Woken::hung_up;
    std::array<epoll_event, 3> events;
    const int ready = os::retry_eintr([&] {
      return ::epoll_wait(epoll_.native(), events.data(), static_cast<int>(events.size()), -1);
    });
    if (ready < 0) return Woken::hung_up;
    bool rung = false;
    for (const epoll_event& event : std::span{events.data(), static_cast<std::size_t>(ready)}) {
      if (event.data.u32 == clock) {
        armed_ = Deadline::never();
        continue;
      }
      // A bell that hung up has lost its ringer, as the control socket is about to tell.
      if ((event.events & gone) != 0) return Woken::hung_up;
      rung = true;
    }
    if (rung) return Woken::rung;
    if (deadline.expired()) return Woken::timed_out;
  }
}

}  // namespace bulkhead::transport::shm

// SPDX-License-Identifier: Apache-2.0
#include "pool/events.hpp"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "os/poll.hpp"
#include "os/syscall.hpp"

namespace bulkhead::pool {

Result<Events> Events::create() {
  Events events;
  events.epoll_ = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!events.epoll_) return os::failed("make", "epoll descriptor");
  events.timer_ = Fd::adopt(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!events.timer_) return os::failed("make", "timer");
  BULKHEAD_TRY(events.add(events.timer_, timer_key));
  return events;
}

Result<void> Events::add(FdView fd, std::uint64_t key) {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = key}};
  if (::epoll_ctl(epoll_.native(), EPOLL_CTL_ADD, fd.native(), &event) != 0) {
    return os::failed("watch", "worker");
  }
  return {};
}

void Events::remove(FdView fd) noexcept {
  static_cast<void>(::epoll_ctl(epoll_.native(), EPOLL_CTL_DEL, fd.native(), nullptr));
}

std::span<const std::uint64_t> Events::wait(Deadline deadline) {
  if (deadline != os::no_wait) {
    const auto ready = os::poll_one(epoll_, POLLIN, deadline);
    if (!ready || *ready == 0) return {};
  }
  std::array<epoll_event, most_at_once> events{};
  const int count = os::retry_eintr(
      [&] { return ::epoll_wait(epoll_.native(), events.data(), most_at_once, 0); });
  std::size_t keys = 0;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t key = events[static_cast<std::size_t>(i)].data.u64;
    if (key == timer_key) {
      set_timer(never);
    } else {
      ready_[keys++] = key;
    }
  }
  return std::span{ready_}.first(keys);
}

void Events::set_timer(Deadline at) noexcept {
  if (at == set_to_) return;
  set_to_ = at;
  itimerspec when{};
  if (!at.is_never()) {
    using namespace std::chrono;
    const auto since = std::max(at.at().time_since_epoch(), steady_clock::duration{1});
    when.it_value = {.tv_sec = duration_cast<seconds>(since).count(),
                     .tv_nsec = (since % seconds(1)).count()};
  }
  static_cast<void>(::timerfd_settime(timer_.native(), TFD_TIMER_ABSTIME, &when, nullptr));
}

}  // namespace bulkhead::pool

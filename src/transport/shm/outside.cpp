// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/outside.hpp"

#include <cerrno>
#include <cstdint>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "os/syscall.hpp"

namespace bulkhead::transport::shm {
namespace {

bool set(FdView epoll, int operation, FdView fd, std::uint32_t events) noexcept {
  epoll_event event{.events = events, .data = {.fd = fd.native()}};
  return ::epoll_ctl(epoll.native(), operation, fd.native(), &event) == 0;
}

}  // namespace

Result<void> Outside::open(FdView control, For what) {
  const std::uint32_t told = what == For::data ? EPOLLIN : EPOLLOUT;
  Fd epoll = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return os::failed("make", "epoll descriptor");
  Fd event = Fd::adopt(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return os::failed("make", "eventfd");
  if (!set(epoll, EPOLL_CTL_ADD, event, EPOLLIN) ||
      !set(epoll, EPOLL_CTL_ADD, control, told | EPOLLRDHUP)) {
    return os::failed("watch", "channel");
  }
  epoll_ = std::move(epoll);
  event_ = std::move(event);
  return {};
}

Result<void> Outside::add_bell(FdView bell) {
  if (!set(epoll_, EPOLL_CTL_ADD, bell, EPOLLIN) && errno != EEXIST) {
    return os::failed("watch", "channel");
  }
  return {};
}

Result<void> Outside::leave_socket(FdView control) {
  if (!set(epoll_, EPOLL_CTL_MOD, control, EPOLLRDHUP)) return os::failed("watch", "channel");
  return {};
}

void Outside::nudge() const noexcept {
  if (!event_) return;
  const std::uint64_t one = 1;
  static_cast<void>(os::retry_eintr([&] { return ::write(event_.native(), &one, sizeof one); }));
}

void Outside::quiet() const noexcept {
  std::uint64_t value = 0;
  static_cast<void>(os::retry_eintr([&] { return ::read(event_.native(), &value, sizeof value); }));
}

}  // namespace bulkhead::transport::shm

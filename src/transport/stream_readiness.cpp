// SPDX-License-Identifier: Apache-2.0
//
// The descriptors by which somebody else waits for a StreamLink: sets of what its own calls wait for.
#include <sys/epoll.h>

#include "os/syscall.hpp"
#include "transport/stream_link.hpp"

namespace bulkhead::transport {

Result<Fd> StreamLink::make_watch(FdView fd, std::uint32_t events) {
  Fd watch = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!watch) return os::failed("make", "epoll descriptor");
  epoll_event event{.events = events, .data = {.u64 = 0}};
  if (fd && ::epoll_ctl(watch.native(), EPOLL_CTL_ADD, fd.native(), &event) != 0) {
    return os::failed("watch", "stream");
  }
  const FdView awake = BULKHEAD_TRY(waker());
  event.events = EPOLLIN;
  if (awake && ::epoll_ctl(watch.native(), EPOLL_CTL_ADD, awake.native(), &event) != 0) {
    return os::failed("watch", "event descriptor");
  }
  return watch;
}

Result<FdView> StreamLink::readable() {
  BULKHEAD_TRY(expect_can(Half::receiving));
  BULKHEAD_TRY(bind());
  const std::lock_guard guard{reading_};
  if (readable_) return readable_.view();
  if (closed_) return fail(ErrorKind::closed);
  Fd watch = BULKHEAD_TRY(make_watch(in(), EPOLLIN | EPOLLRDHUP));
  BULKHEAD_TRY(more_.open());
  epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
  if (::epoll_ctl(watch.native(), EPOLL_CTL_ADD, more_.view().native(), &event) != 0) {
    return os::failed("watch", "event descriptor");
  }
  BULKHEAD_TRY(extend_watch(watch));
  show();
  readable_ = std::move(watch);
  return readable_.view();
}

Result<FdView> StreamLink::writable() {
  BULKHEAD_TRY(expect_can(Half::sending));
  BULKHEAD_TRY(bind());
  const std::lock_guard guard{sending_};
  if (writable_) return writable_.view();
  if (closed_) return fail(ErrorKind::closed);
  writable_ = BULKHEAD_TRY(make_watch(out(), EPOLLOUT));
  return writable_.view();
}

}  // namespace bulkhead::transport

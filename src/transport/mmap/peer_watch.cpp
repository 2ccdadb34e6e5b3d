// SPDX-License-Identifier: Apache-2.0
#include "transport/mmap/peer_watch.hpp"

#include <array>
#include <cerrno>
#include <sys/epoll.h>

#include "os/poll.hpp"
#include "os/syscall.hpp"

namespace bulkhead::transport::mmap {

PeerWatch::PeerWatch(FdView tail, std::string tail_path, std::vector<std::string> watched,
                     std::optional<std::chrono::milliseconds> look, bool follow, Met met)
    : watched_(std::move(watched)),
      look_(look),
      follow_(follow),
      sight_(tail, 0, std::move(tail_path)),
      met_(met == Met::before) {}

Result<bool> PeerWatch::begin() {
  if (watch_) return false;
  auto watch = BULKHEAD_TRY(os::FileWatch::create(look_));
  for (const auto& path : watched_) BULKHEAD_TRY(watch.add(path));
  {
    const std::lock_guard guard{bell_mutex_};
    BULKHEAD_TRY(bell_.open());
  }
  watch_.emplace(std::move(watch));
  return true;
}

Result<Fate> PeerWatch::fate() {
  BULKHEAD_TRY(sight_.look());
  const auto& record = sight_.record();
  if (!seen_) {
    seen_ = true;
    base_ = record.session;
    met_ = met_ || sight_.is_open();
  } else if (record.session != base_) {
    met_ = true;
  }
  if (epoll_) BULKHEAD_TRY(show_process());
  if (!met_ || follow_ || sight_.is_open()) return Fate::open;
  return sight_.has_died() ? Fate::died : Fate::closed;
}

Result<void> PeerWatch::wait(Deadline deadline) {
  std::array<pollfd, 3> fds{pollfd{watch_->fd().native(), POLLIN, 0},
                            pollfd{bell_.view().native(), POLLIN, 0},
                            pollfd{follow_ ? -1 : sight_.pidfd().native(), POLLIN, 0}};
  const auto ready = BULKHEAD_TRY(os::poll(fds, deadline));
  if (ready == 0) {
    return fail(deadline == os::no_wait ? ErrorKind::empty : ErrorKind::timed_out);
  }
  process_stirred_ = fds[2].revents != 0;
  if (fds[0].revents != 0 && watch_->drain({}) == os::FileWatch::Stir::named) {
    process_stirred_ = true;
  }
  const std::lock_guard guard{bell_mutex_};
  if (fds[1].revents != 0 && !for_ever_) bell_.set(false);
  return {};
}

/// One that was closed has left the set by itself.
Result<void> PeerWatch::show_process() {
  const FdView fd = follow_ ? FdView{} : sight_.pidfd();
  if (fd.native() == shown_) return {};
  epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
  if (fd && ::epoll_ctl(epoll_.native(), EPOLL_CTL_ADD, fd.native(), &event) != 0 &&
      errno != EEXIST) {
    return os::failed("watch", "process");
  }
  shown_ = fd.native();
  return {};
}

Result<FdView> PeerWatch::descriptor() {
  if (epoll_) return epoll_.view();
  BULKHEAD_TRY(begin());
  Fd epoll = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return os::failed("make", "epoll descriptor");
  for (const FdView fd : {watch_->fd(), bell_.view()}) {
    epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
    if (::epoll_ctl(epoll.native(), EPOLL_CTL_ADD, fd.native(), &event) != 0) {
      return os::failed("watch", "ring");
    }
  }
  epoll_ = std::move(epoll);
  BULKHEAD_TRY(show_process());
  ring(false);
  return epoll_.view();
}

void PeerWatch::ring(bool for_ever) noexcept {
  const std::lock_guard guard{bell_mutex_};
  for_ever_ = for_ever_ || for_ever;
  bell_.set(true);
}

}  // namespace bulkhead::transport::mmap

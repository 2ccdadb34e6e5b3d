// SPDX-License-Identifier: Apache-2.0
//
// Outside: the one descriptor for those who wait in an event loop: an epoll descriptor over a bell,
// the control socket, and an event of our own for what neither of them tells. Made at the first
// call of readable() or writable(); until then it costs nothing.
//
// Level-triggered: it stays readable until quiet() by a try_ call that found nothing.
#pragma once

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::transport::shm {

class Outside {
 public:
  explicit operator bool() const noexcept { return static_cast<bool>(epoll_); }
  FdView view() const noexcept { return epoll_; }

  /// Watches the control socket: for the peer's hello too, which is news.
  Result<void> open(FdView control);
  /// The hello has been read: what else comes there belongs to messages. From here on the bell
  /// tells, and the control socket only the end.
  Result<void> add(FdView bell, FdView control);

  /// Makes it readable now. Any thread.
  void nudge() const noexcept;
  /// Takes nudges back.
  void quiet() const noexcept;

 private:
  Fd epoll_;
  Fd event_;
};

}  // namespace bulkhead::transport::shm

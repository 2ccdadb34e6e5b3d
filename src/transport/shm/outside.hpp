// SPDX-License-Identifier: Apache-2.0
//
// Outside: the one descriptor for those who wait in an event loop: an epoll descriptor over a bell,
// the control socket, and an event of our own for what neither of them tells. Made at the first
// call of readable() or writable(); until then it costs nothing.
//
// Level-triggered: it stays readable until quiet() by a try_ call that found nothing.
#pragma once

#include <cstdint>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::transport::shm {

class Outside {
 public:
  enum class For : std::uint8_t { data, space };

  explicit operator bool() const noexcept { return static_cast<bool>(epoll_); }
  FdView view() const noexcept { return epoll_; }

  /// Watches the control socket, while messages go there: for packets, the peer's hello too, which
  /// is news; or for room.
  Result<void> open(FdView control, For what);
  /// Messages are about to go through memory: the bell tells of them. May be called again.
  Result<void> add_bell(FdView bell);
  /// They do: what comes over the control socket belongs to them, and it tells only the end.
  Result<void> leave_socket(FdView control);

  /// Makes it readable now. Any thread.
  void nudge() const noexcept;
  /// Takes nudges back.
  void quiet() const noexcept;

 private:
  Fd epoll_;
  Fd event_;
};

}  // namespace bulkhead::transport::shm

// SPDX-License-Identifier: Apache-2.0
//
// SignalFd: a yes or no that can be polled. Readable while set; a system call only when it changes,
// none before it has been opened. Not for several threads without a lock.
#pragma once

#include <cstdint>
#include <sys/eventfd.h>
#include <unistd.h>

#include <bulkhead/fd.hpp>

#include "os/syscall.hpp"

namespace bulkhead::os {

class SignalFd {
 public:
  /// Idempotent; what was set before is shown from now on.
  Result<void> open() {
    if (fd_) return {};
    fd_ = Fd::adopt(::eventfd(set_ ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd_) return failed("make", "event descriptor");
    return {};
  }

  void set(bool set) noexcept {
    if (set == set_) return;
    set_ = set;
    if (!fd_) return;
    std::uint64_t count = 1;
    if (set) {
      retry_eintr([&] { return ::write(fd_.native(), &count, sizeof count); });
    } else {
      retry_eintr([&] { return ::read(fd_.native(), &count, sizeof count); });
    }
  }

  FdView view() const noexcept { return fd_; }

 private:
  Fd fd_;
  bool set_ = false;
};

}  // namespace bulkhead::os

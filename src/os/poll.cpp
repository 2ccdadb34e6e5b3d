// SPDX-License-Identifier: Apache-2.0
#include "os/poll.hpp"

#include <cerrno>
#include <ctime>

#include "os/syscall.hpp"

namespace bulkhead::os {

Result<int> poll(std::span<pollfd> fds, Deadline deadline) {
  for (;;) {
    timespec left{};
    if (!deadline.is_never()) {
      const auto nanoseconds = deadline == no_wait ? 0 : deadline.remaining().count();
      left.tv_sec = nanoseconds / 1'000'000'000;
      left.tv_nsec = nanoseconds % 1'000'000'000;
    }
    const int ready =
        ::ppoll(fds.data(), fds.size(), deadline.is_never() ? nullptr : &left, nullptr);
    if (ready >= 0) return ready;
    if (errno != EINTR) return failed("poll");
  }
}

Result<short> poll_one(FdView fd, short events, Deadline deadline) {
  pollfd entry{.fd = fd.native(), .events = events, .revents = 0};
  if (auto ready = poll({&entry, 1}, deadline); !ready) return fail(std::move(ready).error());
  return entry.revents;
}

}  // namespace bulkhead::os

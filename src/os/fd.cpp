// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <unistd.h>

#include <bulkhead/fd.hpp>

#include "os/syscall.hpp"

namespace bulkhead {

Result<Fd> Fd::duplicate(FdView fd) {
  const int copy = ::fcntl(fd.native(), F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return os::failed("duplicate", "descriptor " + std::to_string(fd.native()));
  return Fd{copy};
}

void Fd::close() noexcept {
  // EINTR is not retried: Linux has released the descriptor by then, and another thread may have it.
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

}  // namespace bulkhead

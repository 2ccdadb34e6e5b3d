// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/bell.hpp"

#include <cerrno>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>

#include "os/socket.hpp"
#include "os/syscall.hpp"

namespace bulkhead::transport::shm {
namespace {

/// More than Sleeper lets an honest ringer leave in a bell.
constexpr int most_rings = 32;

/// read(2) of an eventfd that does not block even when the peer has cleared O_NONBLOCK: an eventfd
/// honours RWF_NOWAIT since Linux 5.8, and what does not honour it answers EOPNOTSUPP.
ssize_t read_now(FdView fd, std::uint64_t& value) noexcept {
  iovec part{&value, sizeof value};
  return os::retry_eintr([&] { return ::preadv2(fd.native(), &part, 1, -1, RWF_NOWAIT); });
}

/// An object of the kernel without a file type (anon_inode) that answers a read of 8 bytes at once,
/// as an eventfd does. Files, devices, pipes, sockets, epoll and signal descriptors do not.
bool is_event(FdView fd, const struct stat& status) noexcept {
  if ((status.st_mode & S_IFMT) != 0) return false;
  std::uint64_t value = 0;
  const auto got = read_now(fd, value);
  return got == sizeof value || (got < 0 && errno == EAGAIN);
}

}  // namespace

Result<Bell> Bell::create(Trust sleeper) {
  if (sleeper == Trust::untrusted) {
    auto ends = BULKHEAD_TRY(os::socket_pair());
    return Bell{Kind::socket, std::move(ends.first), std::move(ends.second)};
  }
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return os::failed("make", "eventfd");
  return Bell{Kind::event, Fd::adopt(fd), Fd{}};
}

void Bell::ring() const noexcept {
  // Whatever fails: either it is rung already, or the peer is gone, which the next wait tells.
  if (kind_ == Kind::event) {
    const std::uint64_t one = 1;
    static_cast<void>(os::retry_eintr([&] { return ::write(mine_.native(), &one, sizeof one); }));
  } else {
    const char token = 0;
    static_cast<void>(os::retry_eintr(
        [&] { return ::send(mine_.native(), &token, sizeof token, MSG_DONTWAIT | MSG_NOSIGNAL); }));
  }
}

Result<BellWatch> BellWatch::adopt(Fd fd) {
  struct stat status{};
  if (::fstat(fd.native(), &status) == 0) {
    if (S_ISSOCK(status.st_mode) && os::is_packet_socket(fd)) {
      return BellWatch{Kind::socket, std::move(fd)};
    }
    if (is_event(fd, status)) return BellWatch{Kind::event, std::move(fd)};
  }
  return fail(ErrorKind::corrupt, {.operation = "attach",
                                   .object = "the peer's bell",
                                   .cause = "neither an eventfd nor a socket for packets"});
}

void BellWatch::drain() const noexcept {
  if (kind_ == Kind::event) {
    std::uint64_t value = 0;
    static_cast<void>(read_now(fd_, value));
  } else {
    // TRUST: no more than an honest ringer leaves: a hostile one could go on for ever.
    for (int rings = 0; rings < most_rings; ++rings) {
      char token = 0;
      const auto got =
          os::retry_eintr([&] { return ::recv(fd_.native(), &token, sizeof token, MSG_DONTWAIT); });
      if (got <= 0) return;
    }
  }
}

}  // namespace bulkhead::transport::shm

// SPDX-License-Identifier: Apache-2.0
#include "os/pipe.hpp"

#include <algorithm>
#include <bit>
#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/syscall.hpp"

namespace bulkhead::os {
namespace {

constexpr int no_signal = 0x100;  // RWF_NOSIGNAL, Linux 6.18
constexpr std::size_t least_room = 4096;

/// Bits that mean nothing for a pipe: nobody executes one.
constexpr mode_t mark_of(PipeEnd end) { return end == PipeEnd::reading ? S_ISGID : S_ISVTX; }

bool has_mode(FdView fd, int access) noexcept {
  struct stat found{};
  if (!fd || ::fstat(fd.native(), &found) != 0 || !S_ISFIFO(found.st_mode)) return false;
  const int flags = ::fcntl(fd.native(), F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) == access;
}

/// SIGPIPE as it is for this thread, kept from the program during one write.
ssize_t write_blocked(FdView pipe, std::span<const iovec> parts) noexcept {
  sigset_t only;
  sigset_t before;
  ::sigemptyset(&only);
  ::sigaddset(&only, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &only, &before);
  // One that was pending already is the program's own, and swallows ours.
  bool had_one = false;
  if (::sigismember(&before, SIGPIPE) == 1) {
    sigset_t pending;
    ::sigpending(&pending);
    had_one = ::sigismember(&pending, SIGPIPE) == 1;
  }
  const ssize_t written = ::writev(pipe.native(), parts.data(), static_cast<int>(parts.size()));
  const int number = errno;
  if (written < 0 && number == EPIPE && !had_one) {
    const timespec now{};
    retry_eintr([&] { return ::sigtimedwait(&only, nullptr, &now); });
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = number;
  return written;
}

}  // namespace

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return failed("make", "pipe");
  return Pipe{Fd::adopt(ends[0]), Fd::adopt(ends[1])};
}

void set_pipe_room(FdView pipe, std::size_t wanted) noexcept {
  const std::size_t now = pipe_room(pipe);
  for (std::size_t room = std::bit_ceil(std::clamp<std::size_t>(wanted, least_room, 1 << 30));
       room != now; room /= 2) {
    if (::fcntl(pipe.native(), F_SETPIPE_SZ, static_cast<int>(room)) >= 0) return;
    if (room < now || errno != EPERM) return;
  }
}

std::size_t pipe_room(FdView pipe) noexcept {
  const int room = ::fcntl(pipe.native(), F_GETPIPE_SZ);
  return room > 0 ? static_cast<std::size_t>(room) : least_room;
}

bool is_read_end(FdView fd) noexcept { return has_mode(fd, O_RDONLY); }
bool is_write_end(FdView fd) noexcept { return has_mode(fd, O_WRONLY); }

ssize_t PipeWriter::write(FdView pipe, std::span<const iovec> parts) noexcept {
  if (kernel_can_) [[likely]] {
    const ssize_t written =
        ::pwritev2(pipe.native(), parts.data(), static_cast<int>(parts.size()), -1, no_signal);
    if (written >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS)) return written;
    kernel_can_ = false;
  }
  return write_blocked(pipe, parts);
}

bool mark_closed(FdView pipe, PipeEnd by) noexcept {
  struct stat found{};
  if (::fstat(pipe.native(), &found) != 0) return false;
  return ::fchmod(pipe.native(), (found.st_mode & 07777) | mark_of(by)) == 0;
}

bool is_marked_closed(FdView pipe, PipeEnd by) noexcept {
  struct stat found{};
  return ::fstat(pipe.native(), &found) == 0 && (found.st_mode & mark_of(by)) != 0;
}

void unmark_closed(FdView pipe, PipeEnd by) noexcept {
  struct stat found{};
  if (::fstat(pipe.native(), &found) != 0 || (found.st_mode & mark_of(by)) == 0) return;
  ::fchmod(pipe.native(), found.st_mode & 07777 & ~mark_of(by));
}

}  // namespace bulkhead::os

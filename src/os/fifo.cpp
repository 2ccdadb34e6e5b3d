// SPDX-License-Identifier: Apache-2.0
#include "os/fifo.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file_lock.hpp"
#include "os/syscall.hpp"

namespace bulkhead::os {
namespace {

/// Lock ranges are signed.
std::uint64_t byte_of(std::uint64_t place) noexcept { return place >> 1; }

std::unexpected<Error> refuse(ErrorKind kind, const std::string& path, const char* cause) {
  return fail(kind, {.operation = "open", .object = path, .cause = cause});
}

Result<void> check_fifo(FdView fifo, const std::string& path) {
  struct stat found{};
  if (::fstat(fifo.native(), &found) != 0) return failed("look at", path);
  if (!S_ISFIFO(found.st_mode)) {
    return refuse(ErrorKind::incompatible, path, "it is no named pipe");
  }
  if (found.st_uid != ::geteuid()) {
    return refuse(ErrorKind::denied, path, "the named pipe belongs to another user");
  }
  if ((found.st_mode & 077) != 0) {
    return refuse(ErrorKind::denied, path, "the named pipe is open to other users");
  }
  return {};
}

/// The umask may have taken bits away from the mode of a new pipe; it is not ours to change. Without
/// a look at the inode itself, what somebody put there meanwhile would be changed: that is `denied`.
Result<void> set_mode(const std::string& path, mode_t mode) {
  const Fd made = Fd::adopt(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!made) return failed("open", path);
  struct stat found{};
  if (::fstat(made.native(), &found) != 0) return failed("look at", path);
  if (!S_ISFIFO(found.st_mode) || found.st_uid != ::geteuid()) {
    return refuse(ErrorKind::denied, path, "somebody put something else there");
  }
  if ((found.st_mode & 07777) == mode) return {};
  const std::string itself = "/proc/self/fd/" + std::to_string(made.native());
  if (::chmod(itself.c_str(), mode) != 0) return failed("set the mode of", path);
  return {};
}

}  // namespace

Result<void> make_fifo(const std::string& path, mode_t more) {
  if (::mkfifo(path.c_str(), 0600) != 0) return failed("make named pipe", path);
  auto set = set_mode(path, 0600 | more);
  if (!set && set.error() != ErrorKind::denied) ::unlink(path.c_str());
  return set;
}

Result<Fd> open_fifo(const std::string& path, FifoEnd end) {
  const int access = end == FifoEnd::reading ? O_RDONLY : O_WRONLY;
  Fd fifo =
      Fd::adopt(::open(path.c_str(), access | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC));
  if (!fifo) {
    if (errno == ENXIO) return refuse(ErrorKind::not_found, path, "nobody reads there");
    if (errno == ELOOP) return refuse(ErrorKind::denied, path, "it is a symbolic link");
    return failed("open", path);
  }
  BULKHEAD_TRY(check_fifo(fifo, path));
  return fifo;
}

bool has_other_names(FdView fifo) noexcept {
  struct stat found{};
  return ::fstat(fifo.native(), &found) != 0 || found.st_nlink > 1;
}

void sign(FdView fifo) noexcept {
  const int access = ::fcntl(fifo.native(), F_GETFL) & O_ACCMODE;
  auto lock = lock_of_byte(access == O_RDONLY ? F_RDLCK : F_WRLCK, 0);
  ::fcntl(fifo.native(), F_SETLK, &lock);
}

pid_t signer_of(FdView fifo) noexcept {
  auto lock = lock_of_byte(F_WRLCK, 0);
  if (::fcntl(fifo.native(), F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return 0;
  return lock.l_pid > 0 ? lock.l_pid : 0;
}

void hold_place(FdView fifo, std::uint64_t place) noexcept {
  auto lock = lock_of_byte(F_WRLCK, byte_of(place));
  ::fcntl(fifo.native(), F_OFD_SETLK, &lock);
}

bool is_place_held(FdView fifo, std::uint64_t place) noexcept {
  auto lock = lock_of_byte(F_WRLCK, byte_of(place));
  return ::fcntl(fifo.native(), F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

}  // namespace bulkhead::os

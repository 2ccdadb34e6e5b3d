// SPDX-License-Identifier: Apache-2.0
#include "conformance/partial_io.hpp"

#include <algorithm>
#include <atomic>
#include <climits>
#include <dlfcn.h>
#include <span>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr std::size_t all = static_cast<std::size_t>(-1);
std::atomic<std::size_t> most{all};
std::atomic<std::size_t> cuts{0};
enum : int { every, next_read, next_write };
std::atomic<int> which{every};

template <class Call> Call* next(const char* name) {
  return reinterpret_cast<Call*>(::dlsym(RTLD_NEXT, name));
}

enum class Kind { other, pipe, stream };

Kind kind_of(int fd) {
  struct stat found{};
  if (::fstat(fd, &found) != 0) return Kind::other;
  if (S_ISFIFO(found.st_mode)) return Kind::pipe;
  int type = 0;
  socklen_t size = sizeof type;
  if (S_ISSOCK(found.st_mode) && ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
      type == SOCK_STREAM) {
    return Kind::stream;
  }
  return Kind::other;
}

/// How many of `size` bytes may move in a call on `fd`.
std::size_t allowed(int fd, std::size_t size, bool writing) {
  const std::size_t limit = most;
  if (size <= limit) return size;
  const Kind kind = kind_of(fd);
  if (kind == Kind::other || (kind == Kind::pipe && writing && size <= PIPE_BUF)) return size;
  if (which != every) {
    if (which != (writing ? next_write : next_read)) return size;
    most = all;
  }
  ++cuts;
  return limit;
}

std::size_t total(const iovec* parts, std::size_t count) {
  std::size_t bytes = 0;
  for (const iovec& part : std::span{parts, count}) bytes += part.iov_len;
  return bytes;
}

/// The first `bytes` of `parts`.
std::vector<iovec> first(const iovec* parts, std::size_t count, std::size_t bytes) {
  std::vector<iovec> cut;
  for (iovec part : std::span{parts, count}) {
    part.iov_len = std::min(part.iov_len, bytes);
    bytes -= part.iov_len;
    cut.push_back(part);
    if (bytes == 0) break;
  }
  return cut;
}

/// A call that has parts: all of them, or what is allowed.
template <class Call>
ssize_t shortened(int fd, iovec* parts, std::size_t count, bool writing, Call call) {
  if (most == all) return call(parts, count);
  const std::size_t size = total(parts, count);
  const std::size_t may = allowed(fd, size, writing);
  if (may == size) return call(parts, count);
  auto cut = first(parts, count, may);
  return call(cut.data(), cut.size());
}

}  // namespace

extern "C" {

ssize_t read(int fd, void* to, std::size_t size) {
  static const auto real = next<ssize_t(int, void*, std::size_t)>("read");
  return real(fd, to, allowed(fd, size, false));
}

ssize_t write(int fd, const void* from, std::size_t size) {
  static const auto real = next<ssize_t(int, const void*, std::size_t)>("write");
  return real(fd, from, allowed(fd, size, true));
}

ssize_t recv(int fd, void* to, std::size_t size, int flags) {
  static const auto real = next<ssize_t(int, void*, std::size_t, int)>("recv");
  return real(fd, to, allowed(fd, size, false), flags);
}

ssize_t send(int fd, const void* from, std::size_t size, int flags) {
  static const auto real = next<ssize_t(int, const void*, std::size_t, int)>("send");
  return real(fd, from, allowed(fd, size, true), flags);
}

ssize_t readv(int fd, const iovec* parts, int count) {
  static const auto real = next<ssize_t(int, const iovec*, int)>("readv");
  return shortened(
      fd, const_cast<iovec*>(parts), static_cast<std::size_t>(count), false,
      [fd](const iovec* cut, std::size_t n) { return real(fd, cut, static_cast<int>(n)); });
}

ssize_t writev(int fd, const iovec* parts, int count) {
  static const auto real = next<ssize_t(int, const iovec*, int)>("writev");
  return shortened(
      fd, const_cast<iovec*>(parts), static_cast<std::size_t>(count), true,
      [fd](const iovec* cut, std::size_t n) { return real(fd, cut, static_cast<int>(n)); });
}

ssize_t recvmsg(int fd, msghdr* message, int flags) {
  static const auto real = next<ssize_t(int, msghdr*, int)>("recvmsg");
  const msghdr whole = *message;
  const ssize_t got =
      shortened(fd, whole.msg_iov, whole.msg_iovlen, false, [&](iovec* cut, std::size_t n) {
        message->msg_iov = cut;
        message->msg_iovlen = n;
        return real(fd, message, flags);
      });
  message->msg_iov = whole.msg_iov;
  message->msg_iovlen = whole.msg_iovlen;
  return got;
}

ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  static const auto real = next<ssize_t(int, const msghdr*, int)>("sendmsg");
  return shortened(fd, message->msg_iov, message->msg_iovlen, true, [&](iovec* cut, std::size_t n) {
    msghdr shorter = *message;
    shorter.msg_iov = cut;
    shorter.msg_iovlen = n;
    return real(fd, &shorter, flags);
  });
}

}  // extern "C"

namespace bulkhead::conformance {

ShortIo::ShortIo(std::size_t most_bytes) {
  cuts = 0;
  which = every;
  most = most_bytes;
}
ShortIo::ShortIo(Next direction, std::size_t most_bytes) {
  cuts = 0;
  which = direction == Next::read ? next_read : next_write;
  most = most_bytes;
}
ShortIo::~ShortIo() { most = all; }
std::size_t ShortIo::cut() const { return cuts; }

}  // namespace bulkhead::conformance

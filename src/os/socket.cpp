// SPDX-License-Identifier: Apache-2.0
#include "os/socket.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>

#include "os/syscall.hpp"

namespace bulkhead::os {
namespace {

constexpr std::size_t control_bytes = CMSG_SPACE(max_packet_fds * sizeof(int));

std::vector<Fd> take_descriptors(msghdr& header) {
  std::vector<Fd> fds;
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    fds.reserve(fds.size() + count);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(item) + i * sizeof(int), sizeof(int));
      fds.push_back(Fd::adopt(fd));
    }
  }
  return fds;
}

std::unexpected<Error> send_failed() {
  switch (errno) {
    case EAGAIN:
      return fail(ErrorKind::full);
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
      return fail(ErrorKind::closed);
    case ETOOMANYREFS:
      return failed("send", "descriptors", "let the peer take those under way, or raise its limit");
    default:
      return failed("send", "packet");
  }
}

}  // namespace

Result<std::pair<Fd, Fd>> socket_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    return failed("make", "socket pair");
  }
  return std::pair{Fd::adopt(ends[0]), Fd::adopt(ends[1])};
}

Result<void> send_packet(FdView socket, std::span<const iovec> parts, std::span<const int> fds) {
  msghdr header{};
  header.msg_iov = const_cast<iovec*>(parts.data());
  header.msg_iovlen = parts.size();
  alignas(cmsghdr) std::array<std::byte, control_bytes> control;
  if (!fds.empty()) {
    if (fds.size() > max_packet_fds) return fail(ErrorKind::too_large);
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* item = CMSG_FIRSTHDR(&header);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(item), fds.data(), fds.size_bytes());
  }
  const auto sent =
      retry_eintr([&] { return ::sendmsg(socket.native(), &header, MSG_NOSIGNAL | MSG_DONTWAIT); });
  if (sent < 0) return send_failed();
  return {};
}

Result<void> send_packet(FdView socket, Bytes bytes, std::span<const int> fds) {
  if (fds.empty()) {  // the kernel has no list of parts to copy in
    const auto sent = retry_eintr([&] {
      return ::send(socket.native(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    });
    if (sent < 0) return send_failed();
    return {};
  }
  const iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  return send_packet(socket, {&part, 1}, fds);
}

Result<Packet> receive_packet(FdView socket, std::span<const iovec> into, std::size_t max_fds) {
  msghdr header{};
  header.msg_iov = const_cast<iovec*>(into.data());
  header.msg_iovlen = into.size();
  alignas(cmsghdr) std::array<std::byte, control_bytes> control;
  // Room for the kernel's most: asking for less would have it install some and drop the others.
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const auto got = retry_eintr(
      [&] { return ::recvmsg(socket.native(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC); });
  if (got < 0) {
    if (errno == EAGAIN) return fail(ErrorKind::empty);
    if (errno == ECONNRESET || errno == ENOTCONN)
      return Packet{.size = 0, .closed = true, .fds = {}};
    return failed("receive", "packet");
  }
  Packet packet{
      .size = static_cast<std::size_t>(got), .closed = false, .fds = take_descriptors(header)};
  if ((header.msg_flags & MSG_CTRUNC) != 0) {
    return fail(ErrorKind::exhausted,
                {.operation = "receive",
                 .object = "descriptors",
                 .cause = "this process has no free descriptors for those that came",
                 .remedy = "raise its limit (ulimit -n) or close some"});
  }
  if ((header.msg_flags & MSG_TRUNC) != 0 || packet.fds.size() > max_fds) {
    return fail(ErrorKind::corrupt, {.operation = "receive",
                                     .object = "packet",
                                     .cause = "the peer sent more than the protocol allows"});
  }
  // A packet of length 0 does not exist in our protocols: the kernel says end of stream with it.
  packet.closed = got == 0;
  return packet;
}

Result<Packet> receive_packet(FdView socket, MutableBytes into, std::size_t max_fds) {
  const iovec part{into.data(), into.size()};
  return receive_packet(socket, {&part, 1}, max_fds);
}

Result<Fd> wrap_descriptors(std::span<const int> fds) {
  auto [inside, parcel] = BULKHEAD_TRY(socket_pair());
  const std::byte mark{};
  BULKHEAD_TRY(send_packet(inside, Bytes{&mark, 1}, fds));
  return std::move(parcel);
}

Result<std::vector<Fd>> unwrap_descriptors(Fd parcel, std::size_t count) {
  std::byte mark{};
  auto packet = receive_packet(parcel, MutableBytes{&mark, 1}, max_packet_fds);
  if (packet && packet->fds.size() == count) return std::move(packet->fds);
  return fail(ErrorKind::invalid, {.operation = "unpack",
                                   .object = "descriptors",
                                   .cause = "it does not hold the " + std::to_string(count) +
                                            " descriptors that it should"});
}

Credentials peer_credentials(FdView socket) noexcept {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket.native(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return {};
  return {credentials.pid, credentials.uid, credentials.gid};
}

int socket_option(FdView socket, int level, int name) noexcept {
  int value = -1;
  socklen_t size = sizeof value;
  if (::getsockopt(socket.native(), level, name, &value, &size) != 0) return -1;
  return value;
}

Result<void> set_socket_option(FdView socket, int level, int name, int value, const char* what) {
  if (::setsockopt(socket.native(), level, name, &value, sizeof value) == 0) return {};
  return failed("set", what);
}

int send_buffer(FdView socket) noexcept {
  return std::max(0, socket_option(socket, SOL_SOCKET, SO_SNDBUF));
}

void set_send_buffer(FdView socket, int bytes) noexcept {
  ::setsockopt(socket.native(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

bool is_packet_socket(FdView socket) noexcept {
  return socket_option(socket, SOL_SOCKET, SO_DOMAIN) == AF_UNIX &&
         socket_option(socket, SOL_SOCKET, SO_TYPE) == SOCK_SEQPACKET;
}

bool is_connected(FdView socket) noexcept {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  return ::getpeername(socket.native(), reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

}  // namespace bulkhead::os

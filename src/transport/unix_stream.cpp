// SPDX-License-Identifier: Apache-2.0
#include "transport/unix_stream.hpp"

#include <algorithm>
#include <sys/socket.h>

#include "os/socket.hpp"
#include "os/syscall.hpp"
#include "transport/mechanism.hpp"
#include "transport/stream_link.hpp"

namespace bulkhead::transport {
namespace {

/// Kept free in the socket's buffer for the end of a frame that is given up and the close frame, in
/// the unit of SO_SNDBUF (the kernel doubles it).
constexpr int close_room = 64 * 1024;
constexpr int least_buffer = 8 * 1024;

ssize_t send_parts(FdView socket, std::span<const iovec> parts) noexcept {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  return ::sendmsg(socket.native(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

class UnixStreamLink final : public StreamLink {
 public:
  UnixStreamLink(Fd socket, const ChannelOptions& options)
      : StreamLink(std::move(socket), options) {}
  ~UnixStreamLink() override { close(); }

  Mechanism mechanism() const noexcept override { return Mechanism::unix_socket; }
  Capabilities capabilities() const noexcept override {
    Capabilities can = unix_mechanism.capabilities;
    can.handles = false;
    can.both_ways = options().direction == Direction::both;
    return can;
  }
  Peer peer() const noexcept override {
    const auto who = os::peer_credentials(in());
    return {who.pid, who.uid, who.gid};
  }
  Result<Handle> detach() override {
    auto ends = BULKHEAD_TRY(take_ends());
    return Handle{std::move(ends.in), Handle::Kind::channel,
                  static_cast<std::uint8_t>(Mechanism::unix_socket)};
  }

 protected:
  ssize_t read_some(FdView in, std::span<const iovec> parts) noexcept override {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts.data());
    message.msg_iovlen = parts.size();
    return ::recvmsg(in.native(), &message, MSG_DONTWAIT);
  }
  ssize_t write_some(FdView out, std::span<const iovec> parts) noexcept override {
    return send_parts(out, parts);
  }

  std::size_t prepare(const ChannelOptions& with) noexcept override {
    // The kernel gives at most net.core.wmem_max: ask for all, then keep the close frame's part.
    const auto wanted = std::clamp<std::size_t>(with.capacity_bytes, least_buffer, 1 << 30);
    os::set_send_buffer(in(), static_cast<int>(wanted) + close_room);
    const int given = os::send_buffer(in()) / 2;
    os::set_send_buffer(in(), std::max(least_buffer, given - close_room));
    // Half of it is for what the kernel adds.
    return static_cast<std::size_t>(std::max(os::send_buffer(in()), least_buffer)) / 2;
  }

  bool close_aside() noexcept override {
    os::set_send_buffer(in(), os::send_buffer(in()) / 2 + close_room);
    return true;
  }
};

}  // namespace

bool is_unix_stream(FdView socket) noexcept {
  return os::socket_option(socket, SOL_SOCKET, SO_DOMAIN) == AF_UNIX &&
         os::socket_option(socket, SOL_SOCKET, SO_TYPE) == SOCK_STREAM;
}

Result<std::unique_ptr<Link>> adopt_unix_stream(Fd socket, const ChannelOptions& options) {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  if (!is_unix_stream(socket) ||
      ::getpeername(socket.native(), reinterpret_cast<sockaddr*>(&peer), &size) != 0) {
    return fail(ErrorKind::invalid, {.operation = "adopt",
                                     .object = "descriptor",
                                     .cause = "it is not a connected Unix socket"});
  }
  return std::make_unique<UnixStreamLink>(std::move(socket), options);
}

void refuse_unix_stream(FdView socket) noexcept {
  const stream_frame::Header header{stream_frame::Type::refused, 0};
  const iovec parts{const_cast<stream_frame::Header*>(&header), sizeof header};
  static_cast<void>(send_parts(socket, {&parts, 1}));
}

}  // namespace bulkhead::transport

// SPDX-License-Identifier: Apache-2.0
//
// Options of sockets; packets with descriptors over Unix sockets of type SOCK_SEQPACKET. Never blocks: waiting is the
// caller's, through os/poll.hpp. What arrives is owned at once, so that nothing leaks whatever is
// wrong with the packet.
#pragma once

#include <cstddef>
#include <span>
#include <sys/types.h>
#include <sys/uio.h>
#include <utility>
#include <vector>

#include <bulkhead/bytes.hpp>
#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::os {

/// The most descriptors in one packet (SCM_MAX_FD, unix(7)).
inline constexpr std::size_t max_packet_fds = 253;

/// Two connected ends of a SOCK_SEQPACKET pair, close-on-exec and not blocking.
Result<std::pair<Fd, Fd>> socket_pair();

/// Sends one packet made of `parts` with `fds` beside it. `full` when the socket's buffer is,
/// `closed` when the peer has closed or died (EPIPE, ECONNRESET), `exhausted` when too many
/// descriptors are in flight, `too_large` when the packet does not fit the buffer at all.
Result<void> send_packet(FdView socket, std::span<const iovec> parts,
                         std::span<const int> fds = {});
Result<void> send_packet(FdView socket, Bytes bytes, std::span<const int> fds = {});

struct Packet {
  std::size_t size = 0;  ///< bytes written into the buffer; 0 with `closed` set: end of stream
  bool closed = false;   ///< the peer has closed and nothing is left
  std::vector<Fd> fds;   ///< what came beside the bytes, close-on-exec
};

/// Receives one packet into `into` (parts filled in order). `empty` when there is none, `corrupt`
/// when it was longer than the room or brought more than `max_fds` descriptors, `exhausted` when
/// this process had no room for its descriptors (they are lost: end the connection).
Result<Packet> receive_packet(FdView socket, std::span<const iovec> into, std::size_t max_fds);
Result<Packet> receive_packet(FdView socket, MutableBytes into, std::size_t max_fds);

/// Several descriptors as one: a socket in which they are under way, so that they go wherever one
/// descriptor goes and are closed with it. For at most max_packet_fds.
Result<Fd> wrap_descriptors(std::span<const int> fds);
/// What wrap_descriptors() made, which is used up. `invalid` for anything else, and for another
/// number than `count`. Never waits.
Result<std::vector<Fd>> unwrap_descriptors(Fd parcel, std::size_t count);

/// An option of a socket as a number; -1 when it has none of that name.
int socket_option(FdView socket, int level, int name) noexcept;
Result<void> set_socket_option(FdView socket, int level, int name, int value, const char* what);

/// The kernel gives twice of what is asked for, for its own books, and no more than
/// net.core.wmem_max: so what a buffer has is asked for afterwards. 0 when it cannot be told.
int send_buffer(FdView socket) noexcept;
void set_send_buffer(FdView socket, int bytes) noexcept;

/// A Unix socket that keeps message boundaries (SOCK_SEQPACKET); connected or not.
bool is_packet_socket(FdView socket) noexcept;
/// ... with a peer.
bool is_connected(FdView socket) noexcept;

struct Credentials {
  pid_t pid = 0;
  uid_t uid = static_cast<uid_t>(-1);
  gid_t gid = static_cast<gid_t>(-1);
};
/// Who connected, by SO_PEERCRED: for a socket pair the process that made it.
Credentials peer_credentials(FdView socket) noexcept;

}  // namespace bulkhead::os

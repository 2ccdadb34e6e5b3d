// SPDX-License-Identifier: Apache-2.0
//
// Where processes find each other: a listening Unix socket at a path, or in the abstract namespace.
// For the unix mechanism that is its address; shm:NAME is a socket in the runtime directory, over
// which the two then set up their memory.
//
// A path belongs to the live process that holds the lock on "PATH.lock" (os/names.hpp). A socket
// that a dead one left is removed by the next listener; a live one's, or a file that is no socket,
// never. Only this user gets in, by the kernel's word (SO_PEERCRED) and not by file modes alone,
// unless others are allowed. Nothing is exchanged before a connection is handed out, so a client
// that stays silent holds nobody up.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "transport/link.hpp"

namespace bulkhead::transport {

struct MeetingPlace {
  std::string path;  ///< or the abstract name, without the '@'
  bool is_abstract = false;
  bool is_stream = false;          ///< SOCK_STREAM instead of SOCK_SEQPACKET
  const char* mechanism = "unix";  ///< whose name it is, in the record of it

  /// "/run/x.sock" or "@name", with or without "?type=stream" or "?type=seqpacket" behind it.
  /// `invalid` when it is neither, or longer than the kernel takes.
  static Result<MeetingPlace> of_unix(const std::string& address);
  /// The socket of shm:NAME in the runtime directory. `invalid` for a name that is not plain.
  static Result<MeetingPlace> of_shm(const std::string& address);
};

/// A connected socket. `not_found` when nobody listens there.
Result<Fd> connect_to(const MeetingPlace& place, Deadline deadline);

/// TRUST: another user's process is never trusted more than the default says.
ChannelOptions for_peer_of(FdView socket, ChannelOptions options);

/// Makes a Link of an accepted socket.
using MakeLink = std::function<Result<std::unique_ptr<Link>>(Fd, const ChannelOptions&)>;

Result<std::unique_ptr<Acceptor>> listen_at(const MeetingPlace& place,
                                            const ChannelOptions& options, bool other_users,
                                            MakeLink make_link);

}  // namespace bulkhead::transport

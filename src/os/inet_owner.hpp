// SPDX-License-Identifier: Apache-2.0
//
// Who has a port: for the sentence that tells that it is taken. Looked up in /proc, as ss(8) does;
// of other users' processes only root sees it.
#pragma once

#include <sys/types.h>

#include "os/inet.hpp"

namespace bulkhead::os {

/// The process that holds a listening (SOCK_STREAM) or unconnected (SOCK_DGRAM) socket at this
/// address, or at its port on all addresses; 0 when that cannot be seen.
pid_t owner_of(const InetAddress& address, int socket_type);

/// Somebody has such a socket, whoever it is.
bool is_listened_at(const InetAddress& address, int socket_type);

/// `exists`, with that pid: for EADDRINUSE.
std::unexpected<Error> address_in_use(const InetAddress& address, int socket_type);

}  // namespace bulkhead::os

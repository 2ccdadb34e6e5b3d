// SPDX-License-Identifier: Apache-2.0
//
// Many writers into one FIFO. A message of up to fifo_frame::most_payload bytes is one write, which
// the kernel keeps together; a larger one goes in pieces of one write each, which the receiver puts
// together for each writer. accept() answers when the first writer has come, with one channel that
// receives from all that are there and come later; it ends when the last of them has gone: `closed`
// when all had closed, `peer_died` otherwise. Then accept() serves those who come next, and in
// between, what writers send waits in the FIFO.
//
// Peer death: the half message of a writer that died is dropped when the receiver looks whether it
// lives, which it does whenever another one begins a message in pieces. A writer sees that nobody
// reads, and by a mark on the FIFO (os/pipe.hpp) whether the server closed or died.
// TRUST: all writers are this user's. One that breaks the protocol ends the channel for all of them
// as `corrupt`: what it has written cannot be told from the others'.
#pragma once

#include <memory>
#include <string>

#include "transport/link.hpp"

namespace bulkhead::transport {

Result<std::unique_ptr<Link>> connect_writer(const std::string& path, Deadline deadline,
                                             const ChannelOptions& options);

Result<std::unique_ptr<Acceptor>> listen_for_writers(const std::string& path,
                                                     const ChannelOptions& options);

}  // namespace bulkhead::transport

// SPDX-License-Identifier: Apache-2.0
//
// Two-way named pipes: a pair of FIFOs for each client, an instance. The client makes them, beside
// the server's FIFO, under a name of 128 random bits, has both open at both ends, and writes one
// request of 32 bytes into the server's FIFO, which the kernel keeps in one piece however many
// clients write at once. So no client can get another's instance, and a request that is never
// answered costs the server nothing. connect() ends there: like that of a socket it does not wait
// for accept().
//
// STATE of an instance
//   asked   --the server opens both and removes the names--> taken in    accept()
//   asked   --the client finds the server's hello--> joined              the client lets go of the
//                                           server's ends and of the server's FIFO
//   asked   --the client dies--> dead       nobody holds its place: the server drops it unseen, and
//                                           what it had sent is lost; its names go then, or as
//                                           fifo_place.hpp says
//   asked   --the server closes or dies--> ended   the client sees its FIFO without a reader
//   joined  as stream_frame.hpp says
//
// TRUST: all parties are this user's, which is looked up at every FIFO that is opened (os/fifo.hpp);
// the names are of the server's making from 16 bytes, so a request leads nowhere else. Who the peer
// is, is what the kernel says of a lock on the instance, not what the request says.
#pragma once

#include <atomic>

#include "transport/fifo_place.hpp"
#include "transport/pipe.hpp"

namespace bulkhead::transport {

Result<std::unique_ptr<Link>> connect_instance(const std::string& path, Deadline deadline,
                                               const ChannelOptions& options);

Result<std::unique_ptr<Acceptor>> listen_for_instances(const std::string& path,
                                                       const ChannelOptions& options);

}  // namespace bulkhead::transport

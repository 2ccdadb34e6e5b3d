// SPDX-License-Identifier: Apache-2.0
//
// Two logs as one channel both ways: who is which end of file:///FOLDER, and what lies there.
//
// LAYOUT of FOLDER                                written by          read by
//   listen/          a log (docs/protocol/file.md)   who listens         who connects, and anybody
//   connect/         a log                           who connects        who listens, and anybody
//   N/peer.cursor    how far the other end has read log N (or NAME.cursor, by ?cursor=NAME)
//   listener         the owner's record of who listens, and its lock
//
// One listens and one connects, in any order; a second one at either end is `exists`, with the pid.
// Each end goes on at its cursor, so what one wrote reaches the other whoever was gone meanwhile.
// An end that had gone before this one came is told to nobody: this one waits for the next.
#pragma once

#include <memory>

#include "transport/file/file_mechanism.hpp"

namespace bulkhead::transport::file {

/// The end that connects; with ?seat=listen the other one, without waiting for a client.
Result<std::unique_ptr<Link>> connect_both_ways(Place place, const ChannelOptions& options);
Result<std::unique_ptr<Acceptor>> listen_both_ways(Place place, const ChannelOptions& options);

}  // namespace bulkhead::transport::file

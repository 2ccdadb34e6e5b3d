// SPDX-License-Identifier: Apache-2.0
//
// inproc: channels between threads of one process. The reference that the other mechanisms are
// compared with: a queue, a mutex and two conditions for each direction, and nothing clever.
//
// Bounded by ChannelOptions::capacity_bytes; a larger message goes when the queue is empty. Handles
// pass as they are, other inproc ends among them. There is no peer process, so nobody dies here:
// every end is an orderly one. Names are known inside this process only.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "transport/link.hpp"

namespace bulkhead::transport {

std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>> make_inproc_pair(
    const ChannelOptions& options);

/// `invalid` for an end that does not come from a detached inproc link.
Result<std::unique_ptr<Link>> adopt_inproc(Handle handle);

/// `not_found` when nobody listens on `name`. Waits while its queue of clients is full.
Result<std::unique_ptr<Link>> connect_inproc(const std::string& name, Deadline deadline,
                                             const ChannelOptions& options);

/// `exists` when the name is taken.
Result<std::unique_ptr<Acceptor>> listen_inproc(const std::string& name);

}  // namespace bulkhead::transport

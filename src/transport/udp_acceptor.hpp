// SPDX-License-Identifier: Apache-2.0
//
// The listening half of udp_meeting.hpp.
#pragma once

#include <memory>

#include "os/inet.hpp"
#include "transport/link.hpp"

namespace bulkhead::transport {

/// `exists` when the address is taken.
Result<std::unique_ptr<Acceptor>> make_udp_acceptor(const os::InetAddress& at,
                                                    const ChannelOptions& options);

}  // namespace bulkhead::transport

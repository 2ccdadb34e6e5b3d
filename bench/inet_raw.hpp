// SPDX-License-Identifier: Apache-2.0
//
// TCP and UDP sockets on the loopback device through nothing but send and recv.
#pragma once

#include <memory>

#include "bench/job.hpp"

namespace bulkhead::bench {

std::unique_ptr<Variant> tcp_raw(const Job& job);
/// Round trips only: one way, a reader that is late loses messages, and what is lost is not fast.
std::unique_ptr<Variant> udp_raw(const Job& job);

/// Whether UDP takes such a job at all, in a channel too.
bool is_for_udp(const Job& job);

}  // namespace bulkhead::bench

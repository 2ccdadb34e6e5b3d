// SPDX-License-Identifier: Apache-2.0
//
// A message queue each way, of POSIX or of System V, through nothing but its own two calls.
#pragma once

#include <memory>

#include "bench/job.hpp"

namespace bulkhead::bench {

std::unique_ptr<Variant> posix_mq_raw(const Job& job);
std::unique_ptr<Variant> sysv_mq_raw(const Job& job);

}  // namespace bulkhead::bench

// SPDX-License-Identifier: Apache-2.0
//
// A typed call through Remote and serve as a contender: an array there and back, or one way and no
// answer.
#pragma once

#include <memory>

#include "bench/job.hpp"

namespace bulkhead::bench {

std::unique_ptr<Variant> shm_service(const Job& job);
std::unique_ptr<Variant> unix_service(const Job& job);
std::unique_ptr<Variant> inproc_service(const Job& job);

}  // namespace bulkhead::bench

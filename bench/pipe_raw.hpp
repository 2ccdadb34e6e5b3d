// SPDX-License-Identifier: Apache-2.0
//
// A pipe each way, without a name or with one, through nothing but write and read.
#pragma once

#include <memory>

#include "bench/job.hpp"

namespace bulkhead::bench {

std::unique_ptr<Variant> pipe_raw(const Job& job);
std::unique_ptr<Variant> fifo_raw(const Job& job);

}  // namespace bulkhead::bench

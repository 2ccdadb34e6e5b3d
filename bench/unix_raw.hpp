// SPDX-License-Identifier: Apache-2.0
//
// A Unix socket pair through nothing but send and recv.
#pragma once

#include <memory>

#include "bench/job.hpp"

namespace bulkhead::bench {

std::unique_ptr<Variant> unix_raw(const Job& job);
std::unique_ptr<Variant> unix_stream_raw(const Job& job);

}  // namespace bulkhead::bench

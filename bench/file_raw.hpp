// SPDX-License-Identifier: Apache-2.0
//
// A nameless file each way through nothing but pwrite, pread and inotify.
#pragma once

#include <cstddef>
#include <memory>

#include "bench/job.hpp"

namespace bulkhead::bench {

inline constexpr std::size_t largest_in_a_log = 4096;

std::unique_ptr<Variant> file_raw(const Job& job);

}  // namespace bulkhead::bench

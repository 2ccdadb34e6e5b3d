// SPDX-License-Identifier: Apache-2.0
//
// A ring in a file each way, with a file for each side's cursor, through nothing but pwrite, pread
// and inotify.
#pragma once

#include <memory>

#include "bench/job.hpp"

namespace bulkhead::bench {

std::unique_ptr<Variant> mmap_raw(const Job& job);

}  // namespace bulkhead::bench

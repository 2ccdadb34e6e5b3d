// SPDX-License-Identifier: Apache-2.0
//
// The start of a role in a process of its own, until it has answered and was reaped.
#pragma once

#include <memory>

#include "bench/variant.hpp"

namespace bulkhead::bench {

std::unique_ptr<Variant> spawn_start();

}  // namespace bulkhead::bench

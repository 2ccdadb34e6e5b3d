// SPDX-License-Identifier: Apache-2.0
// Copies of handles, for what is sent to a worker and may have to be sent again.
#pragma once

#include <vector>

#include <bulkhead/handle.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::pool {

Result<std::vector<Handle>> copies_of(const std::vector<Handle>& handles);

}  // namespace bulkhead::pool

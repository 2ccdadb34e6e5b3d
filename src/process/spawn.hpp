// SPDX-License-Identifier: Apache-2.0
// The two placements of a role; detail::spawn chooses.
#pragma once

#include <bulkhead/process.hpp>

namespace bulkhead::process {

Result<Process> spawn_process(detail::RoleEntry entry, std::string_view role,
                              SpawnOptions& options);
Result<Process> spawn_thread(detail::RoleEntry entry, SpawnOptions& options);

}  // namespace bulkhead::process

// SPDX-License-Identifier: Apache-2.0
//
// What a run leaves behind, counted and not claimed: child processes, descriptors, and names in
// /dev/shm and in the library's runtime directory, before and after.
#pragma once

#include <set>
#include <string>

namespace contact_sheet {

/// What this process holds, one line each.
std::set<std::string> holdings();

/// What is held now and was not in `before`. Names may be another program's that runs at the same
/// time; one that is gone a moment later was.
std::set<std::string> left_behind(const std::set<std::string>& before);

}  // namespace contact_sheet

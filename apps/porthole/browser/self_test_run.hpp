// SPDX-License-Identifier: Apache-2.0
//
// The self-test over all roles: for `--self-test` and about:sandbox.
//
// Blocks for as long as a process for each attempt takes (a second or two): for main() or a worker.
#pragma once

#include <string>
#include <vector>

#include "common/self_test.hpp"

namespace porthole {

struct RoleResults {
  /// "renderer", "plugin", "plugin while it loads", "gpu"
  std::string role;
  /// The layers in force, as the library tells them; or why none of its processes could be started.
  std::string sandbox = {};
  std::vector<AttemptResult> results = {};
};

std::vector<RoleResults> try_all_roles();

bool all_refused(const std::vector<RoleResults>& roles);
std::string to_text(const std::vector<RoleResults>& roles);
/// A page of it.
std::string to_html(const std::vector<RoleResults>& roles);

/// Prints the table; 0 only when everything was refused.
int run_self_test();

}  // namespace porthole

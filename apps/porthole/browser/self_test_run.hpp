// SPDX-License-Identifier: Apache-2.0
//
// The self-test over all roles: for `--self-test` and about:sandbox.
//
// Blocks for as long as a process for each attempt takes (a second or two): for main() or a worker.
#pragma once

#include <string>
#include <vector>

#include "common/self_test.hpp"
#include "gpu/main.hpp"

namespace porthole {

struct RoleResults {
  /// "renderer", "plugin", "plugin while it loads", "gpu", "gpu while it loads"
  std::string role;
  /// The layers in force, as the library tells them; or why none of its processes could be started.
  std::string sandbox = {};
  std::vector<AttemptResult> results = {};
};

/// The gpu process with what it would draw with.
std::vector<RoleResults> try_all_roles(GlUse gl);

bool all_refused(const std::vector<RoleResults>& roles);
std::string to_text(const std::vector<RoleResults>& roles);
/// A page of it.
std::string to_html(const std::vector<RoleResults>& roles);

/// Prints the table; 0 only when everything was refused.
int run_self_test(GlUse gl);

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
//
// What a renderer process may do.
#pragma once

#include <bulkhead/sandbox.hpp>

namespace porthole {

/// Computing, and reading fonts. No network, no other file, no program, no other process.
bulkhead::Sandbox renderer_sandbox();

}  // namespace porthole

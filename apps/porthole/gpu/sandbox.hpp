// SPDX-License-Identifier: Apache-2.0
//
// What the gpu process may do: compute on memory that it was given. No files, no network.
#pragma once

#include <bulkhead/sandbox.hpp>

namespace porthole {

bulkhead::Sandbox gpu_sandbox();

}  // namespace porthole

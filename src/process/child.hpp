// SPDX-License-Identifier: Apache-2.0
//
// The child's first steps, from init() to its role and out through exit().
#pragma once

#include <bulkhead/fd.hpp>

namespace bulkhead::process {

/// In argv[1] of a child; the number of the bootstrap socket follows.
inline constexpr char child_flag[] = "--bulkhead-child=";

/// Does not return. Exits with 125 when the socket is not what it should be.
[[noreturn]] void run_child(Fd bootstrap);

}  // namespace bulkhead::process

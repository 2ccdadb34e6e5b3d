// SPDX-License-Identifier: Apache-2.0
//
// What the gpu process may do. With the CPU: compute on memory that it was given; no files, no
// network. With GL in two stages, because a driver opens files and devices when it starts:
//   loading   by spawn: the libraries, what drivers look up about the machine, and its render nodes.
//             No network, no programs, no other file; no producer is connected yet.
//   drawing   by the role itself, with the context made: as with the CPU, and the control calls of
//             the render nodes that are open. The driver in the kernel is what is left to attack.
#pragma once

#include <bulkhead/sandbox.hpp>

#include "gpu/main.hpp"

namespace porthole {

/// For spawn, by what it shall draw with.
bulkhead::Sandbox gpu_sandbox(GlUse use = GlUse::none);

/// The second stage, for Bootstrap::tighten().
bulkhead::Sandbox gpu_drawing_sandbox();

}  // namespace porthole

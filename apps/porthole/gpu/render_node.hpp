// SPDX-License-Identifier: Apache-2.0
//
// Whether this machine has a GPU that a program without a screen may use: a render node, drm(7).
#pragma once

namespace porthole {

/// Where the nodes are.
inline constexpr const char* render_node_folder = "/dev/dri";

/// One of them is there and this process may open it.
bool has_render_node(const char* folder = render_node_folder);

}  // namespace porthole

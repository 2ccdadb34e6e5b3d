// SPDX-License-Identifier: Apache-2.0
//
// Which fonts there are, found out by reading alone: fontconfig, when left to itself, also writes
// caches and makes folders, which a sandbox takes for an attack.
#pragma once

#include <string>
#include <vector>

struct _FcConfig;

namespace porthole {

/// The folders that a renderer has to be able to read for its fonts, of those that exist.
std::vector<std::string> font_folders();

/// This system's fonts and preferences. Made at the first call, the same for all threads of the
/// process, and what fontconfig itself uses from then on: left alone, Pango would have it load its
/// own in a thread.
_FcConfig* font_config();

}  // namespace porthole

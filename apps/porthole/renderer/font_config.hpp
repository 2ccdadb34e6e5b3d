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

/// A new configuration of this system's fonts and preferences; the caller's to destroy.
_FcConfig* make_font_config();

}  // namespace porthole

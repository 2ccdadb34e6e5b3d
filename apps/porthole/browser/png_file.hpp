// SPDX-License-Identifier: Apache-2.0
//
// A finished picture as a PNG file. The file appears whole or not at all: it is written beside its
// place and then renamed. Blocks as long as the disk takes: a few milliseconds to compress a window.
#pragma once

#include <filesystem>

#include <bulkhead/bytes.hpp>
#include <bulkhead/result.hpp>

#include "interfaces/compositor.hpp"
#include "interfaces/types.hpp"

namespace porthole {

/// `invalid` for a picture whose pixels do not fit its size; else what the file system says.
bulkhead::Result<void> write_png(const Picture& picture, const std::filesystem::path& file);
bulkhead::Result<void> write_png(Size size, bulkhead::Bytes pixels,
                                 const std::filesystem::path& file);

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
//
// The files of a folder, whatever lies in it: nothing here waits for a named pipe, follows a
// folder, or reads without bound.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <bulkhead/result.hpp>

namespace contact_sheet {

struct Folder {
  std::vector<std::filesystem::path> files;  ///< in the order of their names
  std::vector<std::string> skipped;          ///< "music: a folder"
};

/// Files, and symbolic links to files (also broken ones: reading them fails, in words), are
/// `files`; folders, named pipes, sockets and devices are `skipped`. Errors: the system's.
bulkhead::Result<Folder> list_folder(const std::filesystem::path& folder);

/// Larger files are refused.
inline constexpr std::uint64_t file_bytes_at_most = 64 << 20;

/// The whole file. Errors: the system's; `too_large`; `unsupported` when it is no file (any more).
bulkhead::Result<std::string> read_file(const std::filesystem::path& path);

}  // namespace contact_sheet

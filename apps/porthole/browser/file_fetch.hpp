// SPDX-License-Identifier: Apache-2.0
//
// Reads what a file: URL names: a file, or a folder as a page that lists it. Blocks as the disk
// does, so it is called by a worker thread alone. Only files and folders are opened, never a device
// or a pipe, which might wait for ever.
#pragma once

#include <atomic>
#include <filesystem>
#include <optional>

#include <bulkhead/region.hpp>
#include <bulkhead/result.hpp>

#include "browser/mime.hpp"

namespace porthole {

struct FetchedFile {
  ContentType type;
  /// Frozen; nothing when the file is empty.
  std::optional<bulkhead::Region> body;
  /// The URL has to end in a slash, so that the links in the list lead into the folder.
  bool is_folder = false;
};

/// `not_found`, `denied`, `too_large`, `unsupported` (a device, a pipe). Ends early, as
/// `cancelled`, when `stop` becomes true.
bulkhead::Result<FetchedFile> fetch_file(const std::filesystem::path& path, LoadKind kind,
                                         std::size_t max_bytes, const std::atomic<bool>& stop);

/// A frozen Region with these bytes; nothing when there are none.
bulkhead::Result<std::optional<bulkhead::Region>> frozen(bulkhead::Bytes bytes);

/// Text for HTML, in elements and attributes.
std::string html_escaped(std::string_view text);

}  // namespace porthole

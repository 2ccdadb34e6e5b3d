// SPDX-License-Identifier: Apache-2.0
//
// Which plugin handles which MIME type, for the browser process: it decides by this table and never
// loads a plugin itself. A plugin's own list (plugin_abi.h) is what its process believes.
#pragma once

#include <filesystem>
#include <span>
#include <string_view>

#include <bulkhead/result.hpp>

namespace porthole {

struct PluginKind {
  enum class Fonts : bool { not_needed, needed };

  /// Also its file: bin/porthole-plugins/NAME.so.
  std::string_view name;
  /// Lower case, without parameters.
  std::span<const std::string_view> mime_types;
  /// It draws text, and reads the system's fonts to do so.
  Fonts fonts = Fonts::not_needed;
};

/// All that is shipped.
std::span<const PluginKind> plugin_kinds() noexcept;

/// Null when there is none.
const PluginKind* plugin_for(std::string_view mime_type) noexcept;
/// By what it is called; null for another file.
const PluginKind* plugin_of_file(const std::filesystem::path& file) noexcept;

/// Beside the executable. `not_found` when it is not installed.
bulkhead::Result<std::filesystem::path> plugin_file(const PluginKind& kind);

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
//
// The sandbox of a plugin process, on one screen. Two stages, because a shared object runs code
// while it is loaded:
//   loading    by spawn: no network, no programs; library folders and the plugin itself can be read
//              and mapped as code. All that holds a plugin that is hostile from its first line on.
//   rendering  by the role itself, before it is given any document: nothing can be opened any more,
//              nor any code be loaded. Holds a good plugin that a document has taken over.
#pragma once

#include <filesystem>

#include <bulkhead/sandbox.hpp>

#include "plugin/registry.hpp"

namespace porthole {

/// The first stage, for spawn. `file`: where plugin_file() found it.
bulkhead::Sandbox plugin_sandbox(const PluginKind& kind, const std::filesystem::path& file);

/// The second, for Bootstrap::tighten().
bulkhead::Sandbox plugin_rendering_sandbox(const PluginKind& kind);

}  // namespace porthole

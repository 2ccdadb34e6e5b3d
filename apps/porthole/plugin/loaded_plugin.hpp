// SPDX-License-Identifier: Apache-2.0
//
// LoadedPlugin: a shared object behind plugin_abi.h, with everything checked that it says. For the
// plugin process. What it does besides answering (crash, loop, call the system) is the sandbox's
// and the browser's affair.
//
// It is never unloaded: libraries behind plugins keep pointers to themselves in threads and exit
// handlers. Not for several threads at once.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <bulkhead/bytes.hpp>
#include <bulkhead/result.hpp>

#include "interfaces/plugin.hpp"
#include "plugin/plugin_abi.h"

namespace porthole {

class LoadedPlugin {
 public:
  /// `not_found` when it cannot be loaded, `incompatible` when its table is not one that is
  /// understood here.
  static bulkhead::Result<LoadedPlugin> load(const std::string& file);

  const std::string& name() const noexcept { return name_; }
  const std::vector<std::string>& mime_types() const noexcept { return mime_types_; }

  /// One document. The pixels are rendered where they are handed over.
  bulkhead::Result<PluginOutput> render(const std::string& mime_type, bulkhead::Bytes bytes,
                                        Size wanted) const;

 private:
  explicit LoadedPlugin(const porthole_plugin& table);

  const porthole_plugin* table_;
  std::string name_;
  std::vector<std::string> mime_types_;
};

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
//
// The plugin process: one shared object, loaded in a sandbox, that turns documents into pictures or
// HTML for whoever the browser attaches. README.md in this folder says whom it trusts.
#pragma once

#include <bulkhead/process.hpp>

namespace porthole {

/// The role. Its arguments: arguments<std::string, std::string>(): what a self-test tries in it
/// (common/self_test.hpp; normally empty), and the shared object. On the main channel it serves
/// PluginHost and calls PluginHostClient; on those that are attached it serves Plugin.
void plugin_main(bulkhead::Bootstrap& boot);

}  // namespace porthole

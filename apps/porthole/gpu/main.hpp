// SPDX-License-Identifier: Apache-2.0
//
// The role of the gpu process. Arguments: std::string, the name of an attempt for the self-test,
// or empty; GlUse.
#pragma once

#include <cstdint>

namespace bulkhead {
class Bootstrap;
}

namespace porthole {

/// With which GL a gpu process may draw; with the CPU where there is none such. Its sandbox has to
/// be the one of sandbox.hpp for it.
enum class GlUse : std::uint8_t { none, hardware, any };

/// Serves Compositor on the main channel until the browser closes it.
void gpu_main(bulkhead::Bootstrap& boot);

}  // namespace porthole

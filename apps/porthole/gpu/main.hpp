// SPDX-License-Identifier: Apache-2.0
//
// The role of the gpu process. Arguments: std::string, the name of an attempt for the self-test,
// or empty.
#pragma once

namespace bulkhead {
class Bootstrap;
}

namespace porthole {

/// Serves Compositor on the main channel until the browser closes it.
void gpu_main(bulkhead::Bootstrap& boot);

}  // namespace porthole

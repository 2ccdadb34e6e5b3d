// SPDX-License-Identifier: Apache-2.0
//
// The renderer's role. Main channel: serves Frame, calls FrameHost. Channels "resources" and
// "plugins" are handed over; the layer's comes later by Frame::attach_layer. Arguments: one string,
// empty, or the name of an attempt of the self-test, which is all that the process does then.
#pragma once

#include <bulkhead/process.hpp>

namespace porthole {

/// Returns when the browser closes the main channel. What fails beyond repair (memory, above all)
/// is thrown and not caught, so that the browser learns how the process died.
void renderer_main(bulkhead::Bootstrap& boot);

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
#include "gpu/sandbox.hpp"

namespace porthole {

bulkhead::Sandbox gpu_sandbox() {
  bulkhead::Sandbox sandbox = bulkhead::sandbox::compute_only;
  sandbox.name = "gpu";
  sandbox.threads = bulkhead::Sandbox::Threads::none;
  // Its own memory is small; what it maps are the tiles of all tabs and the pictures.
  sandbox.limits.memory_bytes = std::uint64_t{512} << 20;
  sandbox.limits.mapped_bytes = std::uint64_t{64} << 30;
  // Each layer takes about eight: a channel, what it waits on, a segment.
  sandbox.limits.descriptors = 8192;
  return sandbox;
}

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
#include "renderer/sandbox.hpp"

#include "renderer/font_config.hpp"

namespace porthole {

bulkhead::Sandbox renderer_sandbox() {
  bulkhead::Sandbox sandbox;
  sandbox.name = "renderer";
  sandbox.calls = bulkhead::Sandbox::Calls::compute;
  sandbox.network = bulkhead::Sandbox::Network::none;
  // Pango has fontconfig look for fonts in a thread.
  sandbox.threads = bulkhead::Sandbox::Threads::allowed;
  sandbox.readable = font_folders();
  sandbox.limits.memory_bytes = std::uint64_t{512} << 20;
  // Bodies, decoded pictures and tiles.
  sandbox.limits.mapped_bytes = std::uint64_t{2} << 30;
  // What all processes of this user have sent to each other and not yet received counts against it
  // (unix(7), ETOOMANYREFS): a hundred tabs that begin together have a thousand of them under way.
  sandbox.limits.descriptors = 8192;
  sandbox.limits.tasks = 32;
  return sandbox;
}

}  // namespace porthole

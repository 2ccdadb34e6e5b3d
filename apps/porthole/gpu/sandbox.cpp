// SPDX-License-Identifier: Apache-2.0
#include "gpu/sandbox.hpp"

#include <filesystem>
#include <initializer_list>
#include <string>
#include <vector>

#include "gpu/render_node.hpp"

namespace porthole {
namespace {

using bulkhead::Sandbox;

/// What this system has of these.
std::vector<std::string> existing(std::initializer_list<const char*> paths) {
  std::vector<std::string> found;
  std::error_code ignored;
  for (const char* path : paths) {
    if (std::filesystem::exists(path, ignored)) found.emplace_back(path);
  }
  return found;
}

Sandbox computing() {
  Sandbox sandbox = bulkhead::sandbox::compute_only;
  sandbox.name = "gpu";
  sandbox.threads = Sandbox::Threads::none;
  // Its own memory is small; what it maps are the tiles of all tabs and the pictures.
  sandbox.limits.memory_bytes = std::uint64_t{512} << 20;
  sandbox.limits.mapped_bytes = std::uint64_t{64} << 30;
  // Each layer takes about eight: a channel, what it waits on, a segment.
  sandbox.limits.descriptors = 8192;
  return sandbox;
}

Sandbox loading() {
  Sandbox made = gpu_drawing_sandbox();
  made.name = "gpu, loading";
  made.tighten = Sandbox::Tighten::allowed;
  made.threads = Sandbox::Threads::allowed;  // a driver's own
  made.loadable =
      existing({"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"});
  made.readable = existing({"/etc/glvnd", "/usr/share/glvnd", "/etc/drirc", "/usr/share/drirc.d"});
  if (has_render_node()) {
    made.devices = existing({render_node_folder});
    // Which driver a node needs.
    for (auto& folder : existing({"/sys/dev/char", "/sys/devices", "/usr/share/libdrm"})) {
      made.readable.push_back(std::move(folder));
    }
  }
  return made;
}

}  // namespace

Sandbox gpu_sandbox(GlUse use) { return use == GlUse::none ? computing() : loading(); }

Sandbox gpu_drawing_sandbox() {
  Sandbox made = computing();
  made.name = "gpu, drawing";
  made.control = Sandbox::Control::graphics;
  return made;
}

}  // namespace porthole

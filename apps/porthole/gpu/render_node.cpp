// SPDX-License-Identifier: Apache-2.0
#include "gpu/render_node.hpp"

#include <fcntl.h>
#include <filesystem>

#include <bulkhead/fd.hpp>

namespace porthole {

bool has_render_node(const char* folder) {
  std::error_code missing;
  std::filesystem::directory_iterator nodes{folder, missing};
  for (; !missing && nodes != std::filesystem::directory_iterator{}; nodes.increment(missing)) {
    const auto& path = nodes->path();
    if (!path.filename().string().starts_with("renderD")) continue;
    if (bulkhead::Fd::adopt(::open(path.c_str(), O_RDWR | O_CLOEXEC))) return true;
  }
  return false;
}

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
#include "plugin/sandbox.hpp"

#include <initializer_list>

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

std::vector<std::string> font_folders() {
  return existing({"/etc/fonts", "/usr/share/fonts", "/usr/local/share/fonts",
                   "/usr/share/fontconfig", "/var/cache/fontconfig"});
}

}  // namespace

Sandbox plugin_rendering_sandbox(const PluginKind& kind) {
  Sandbox made;
  made.name = "plugin " + std::string{kind.name};
  if (kind.fonts == PluginKind::Fonts::needed) made.readable = font_folders();
  // A picture of max_picture_pixels, and as much again to make it from.
  made.limits.memory_bytes = std::uint64_t{512} << 20;
  made.limits.mapped_bytes = std::uint64_t{1} << 30;
  made.limits.file_bytes = std::uint64_t{512} << 20;
  made.limits.descriptors = 8192;  // those under way between all processes count (unix(7))
  made.limits.tasks = 512;         // librsvg starts one for each processor
  return made;
}

Sandbox plugin_sandbox(const PluginKind& kind, const std::filesystem::path& file) {
  Sandbox made = plugin_rendering_sandbox(kind);
  made.name += ", loading";
  made.tighten = Sandbox::Tighten::allowed;
  made.loadable =
      existing({"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"});
  made.loadable.push_back(file.string());
  return made;
}

}  // namespace porthole

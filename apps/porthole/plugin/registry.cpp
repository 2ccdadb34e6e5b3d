// SPDX-License-Identifier: Apache-2.0
#include "plugin/registry.hpp"

#include <algorithm>
#include <array>

namespace porthole {
namespace {

using namespace std::literals;

constexpr std::array image{"image/png"sv, "image/jpeg"sv, "image/gif"sv,   "image/webp"sv,
                           "image/jpg"sv, "image/apng"sv, "image/x-png"sv, "image/pjpeg"sv};
constexpr std::array svg{"image/svg+xml"sv};
constexpr std::array markdown{"text/markdown"sv, "text/x-markdown"sv};
// For tests: it does what the end of the type says, or the document where that has none.
constexpr std::array chaos{"application/x-chaos"sv,
                           "application/x-chaos-crash"sv,
                           "application/x-chaos-loop"sv,
                           "application/x-chaos-memory"sv,
                           "application/x-chaos-wrong-size"sv,
                           "application/x-chaos-open-file"sv,
                           "application/x-chaos-socket"sv,
                           "application/x-chaos-exit"sv,
                           "application/x-chaos-exec"sv,
                           "application/x-chaos-load"sv,
                           "application/x-chaos-calm"sv,
                           "image/x-chaos"sv,
                           "image/x-chaos-crash"sv,
                           "image/x-chaos-loop"sv,
                           "image/x-chaos-memory"sv,
                           "image/x-chaos-wrong-size"sv,
                           "image/x-chaos-open-file"sv,
                           "image/x-chaos-socket"sv,
                           "image/x-chaos-exit"sv,
                           "image/x-chaos-exec"sv,
                           "image/x-chaos-load"sv,
                           "image/x-chaos-calm"sv};

constexpr std::array kinds{
    PluginKind{.name = "image", .mime_types = image},
    PluginKind{.name = "svg", .mime_types = svg, .fonts = PluginKind::Fonts::needed},
    PluginKind{.name = "markdown", .mime_types = markdown},
    PluginKind{.name = "chaos", .mime_types = chaos},
};

}  // namespace

std::span<const PluginKind> plugin_kinds() noexcept { return kinds; }

const PluginKind* plugin_for(std::string_view mime_type) noexcept {
  const auto* found = std::ranges::find_if(kinds, [&](const PluginKind& kind) {
    return std::ranges::find(kind.mime_types, mime_type) != kind.mime_types.end();
  });
  return found == kinds.end() ? nullptr : found;
}

const PluginKind* plugin_of_file(const std::filesystem::path& file) noexcept {
  const auto stem = file.stem();
  const auto* found = std::ranges::find_if(
      kinds, [&](const PluginKind& kind) { return stem == std::filesystem::path{kind.name}; });
  return found == kinds.end() ? nullptr : found;
}

bulkhead::Result<std::filesystem::path> plugin_file(const PluginKind& kind) {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto file = program.parent_path() / "porthole-plugins" / (std::string{kind.name} + ".so");
  if (!error && std::filesystem::is_regular_file(file, error)) return file;
  return bulkhead::fail(bulkhead::ErrorKind::not_found,
                        {.operation = "find",
                         .object = "plugin " + std::string{kind.name},
                         .cause = file.string() + " is not there",
                         .remedy = "install it beside the program"});
}

}  // namespace porthole

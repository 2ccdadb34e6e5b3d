// SPDX-License-Identifier: Apache-2.0
#include "renderer/font_config.hpp"

#include <filesystem>
#include <fontconfig/fontconfig.h>
#include <string_view>
#include <system_error>

namespace porthole {
namespace {

namespace fs = std::filesystem;

constexpr const char* fonts[] = {"/usr/share/fonts", "/usr/local/share/fonts"};
// What fontconfig is told; /etc/fonts/conf.d refers to files in /usr/share/fontconfig.
constexpr const char* settings[] = {"/etc/fonts", "/usr/share/fontconfig"};
constexpr const char* cache = "/var/cache/fontconfig";

// The system's preferences without its cache folders in homes, which would be written to.
constexpr const char* configuration = R"(<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
<include ignore_missing="yes">/etc/fonts/conf.d</include>
<cachedir>/var/cache/fontconfig</cachedir>
<config><rescan><int>0</int></rescan></config>
</fontconfig>)";

/// More files than that are not read one by one.
constexpr int max_font_files = 2000;

bool exists(const char* path) {
  std::error_code failed;
  return fs::exists(path, failed);
}

/// All caches that reading this folder would need are there and up to date; otherwise fontconfig
/// would make them.
bool is_cached(const FcChar8* folder, FcConfig* config) {
  FcCache* found = FcDirCacheLoad(folder, config, nullptr);
  if (!found) return false;
  bool all = true;
  for (int i = 0; all && i < FcCacheNumSubdir(found); ++i) {
    all = is_cached(FcCacheSubdir(found, i), config);
  }
  FcDirCacheUnload(found);
  return all;
}

void add_files(const fs::path& folder, FcConfig* config) {
  std::error_code failed;
  int left = max_font_files;
  for (fs::recursive_directory_iterator at(folder, failed), end; !failed && at != end;
       at.increment(failed)) {
    const auto ending = at->path().extension();
    if (ending != ".ttf" && ending != ".otf" && ending != ".ttc" && ending != ".pfb") continue;
    if (left-- == 0) return;
    FcConfigAppFontAddFile(config, reinterpret_cast<const FcChar8*>(at->path().c_str()));
  }
}

FcConfig* make_font_config() {
  FcConfig* config = FcConfigCreate();
  FcConfigParseAndLoadFromMemory(config, reinterpret_cast<const FcChar8*>(configuration), FcTrue);
  for (const char* path : fonts) {
    const auto* folder = reinterpret_cast<const FcChar8*>(path);
    if (!exists(path)) continue;
    if (is_cached(folder, config)) {
      FcConfigAppFontAddDir(config, folder);
    } else {
      add_files(path, config);
    }
  }
  FcConfigSetCurrent(config);
  return config;
}

}  // namespace

std::vector<std::string> font_folders() {
  std::vector<std::string> there;
  for (const char* path : fonts) {
    if (exists(path)) there.emplace_back(path);
  }
  for (const char* path : settings) {
    if (exists(path)) there.emplace_back(path);
  }
  if (exists(cache)) there.emplace_back(cache);
  return there;
}

FcConfig* font_config() {
  static FcConfig* const config = make_font_config();
  return config;
}

}  // namespace porthole

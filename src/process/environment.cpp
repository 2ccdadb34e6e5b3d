// SPDX-License-Identifier: Apache-2.0
#include "process/environment.hpp"

#include <algorithm>
#include <cstdlib>
#include <unistd.h>

namespace bulkhead::process {
namespace {

/// What a sandboxed child may know of where it runs. The rest (tokens, passwords, sockets of
/// agents) is nothing to it.
bool is_harmless(std::string_view entry) {
  constexpr std::string_view names[] = {
      "PATH=", "LANG=", "LANGUAGE=", "LC_", "TZ=", "BULKHEAD_",
      // what a sanitizer of our own build is told
      "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS=", "LSAN_OPTIONS=", "LD_LIBRARY_PATH="};
  return std::ranges::any_of(names, [&](std::string_view name) { return entry.starts_with(name); });
}

}  // namespace

Environment::Environment(std::vector<std::string> entries) : entries_(std::move(entries)) {
  for (const std::string& entry : entries_) pointers_.push_back(entry.c_str());
  pointers_.push_back(nullptr);
}

std::vector<std::string> entries_for(const SpawnOptions& options) {
  if (options.environment) return *options.environment;
  const bool confined = options.sandbox.confines();
  std::vector<std::string> entries;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    if (!confined || is_harmless(*entry)) entries.emplace_back(*entry);
  }
  return entries;
}

Environment environment_for(const SpawnOptions& options) {
  return Environment{entries_for(options)};
}

bool waits_for_debugger(std::string_view role, std::string_view name) {
  const char* listed = std::getenv("BULKHEAD_DEBUG");
  std::string_view rest = listed != nullptr ? listed : "";
  while (!rest.empty()) {
    const std::string_view one = rest.substr(0, rest.find(','));
    if (one == role || one == name) return true;
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
  }
  return false;
}

}  // namespace bulkhead::process

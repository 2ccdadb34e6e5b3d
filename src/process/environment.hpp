// SPDX-License-Identifier: Apache-2.0
//
// The environment of a child, and what the environment of this process asks for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <bulkhead/process.hpp>

namespace bulkhead::process {

/// As execve(2) takes it; owns its text.
class Environment {
 public:
  explicit Environment(std::vector<std::string> entries);

  const char* const* pointers() const noexcept { return pointers_.data(); }

 private:
  std::vector<std::string> entries_;
  std::vector<const char*> pointers_;
};
/// The entries that the child is to have: those asked for, else ours, of which a sandboxed one gets
/// what is harmless.
std::vector<std::string> entries_for(const SpawnOptions& options);
Environment environment_for(const SpawnOptions& options);

/// BULKHEAD_DEBUG=role[,role] names it, as a role or as it is called here.
bool waits_for_debugger(std::string_view role, std::string_view name);

}  // namespace bulkhead::process

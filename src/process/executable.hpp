// SPDX-License-Identifier: Apache-2.0
//
// The own executable: what it is, where roles lie in it, and a descriptor to start it again, kept
// from init() on, so that a later upgrade or removal of the file changes nothing.
#pragma once

#include <cstdint>
#include <string>

#include <bulkhead/fd.hpp>
#include <bulkhead/process.hpp>

namespace bulkhead::process {

/// How far `entry` lies behind the load address. `unsupported` when it is in a shared library.
Result<std::uint64_t> offset_of(detail::RoleEntry entry);

/// The entry at that offset; null when it is outside of the executable's code.
detail::RoleEntry entry_at(std::uint64_t offset);

/// The linker's NT_GNU_BUILD_ID, as bytes; empty without one.
const std::string& build_id();

/// What init() remembers.
struct Origin {
  Fd executable;
  Error failure{ErrorKind::invalid};  ///< why there is no `executable`
  std::string program;                ///< argv[0]
};

/// Remembers; once.
void remember_origin(const char* program);

/// Nothing before init().
const Origin* origin() noexcept;

}  // namespace bulkhead::process

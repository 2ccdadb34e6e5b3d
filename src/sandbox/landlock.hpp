// SPDX-License-Identifier: Apache-2.0
//
// Layer landlock: file access by rule, TCP ports, and nobody outside the sandbox can be signalled,
// traced or reached by an abstract socket name. Needs no privilege, works in containers.
// landlock(7); Linux 5.13, and more of it with each ABI since: what the running kernel has is used.
//
// It does not cover: pathname Unix sockets, UDP, netlink, System V objects, stat(2), io_uring. The
// system-call filter and the namespaces do.
#pragma once

#include <vector>

#include <bulkhead/result.hpp>
#include <bulkhead/sandbox.hpp>

#include "sandbox/root_folder.hpp"

namespace bulkhead::sandbox {

/// The kernel's ABI, at least 1; `unsupported` when it has none or it is switched off.
Result<int> landlock_abi();

/// Binds the calling thread and all that it makes from now on. Needs no_new_privs.
Result<void> restrict_with_landlock(const std::vector<Grant>& granted, Sandbox::Network network);

}  // namespace bulkhead::sandbox

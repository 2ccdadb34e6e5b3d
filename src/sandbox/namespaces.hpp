// SPDX-License-Identifier: Apache-2.0
//
// Layer namespaces: own user, network (empty: not even loopback is up), IPC, host name, cgroup and
// mount namespaces. namespaces(7). Inside, our user keeps its number and is the only one that
// exists.
//
// Not every system lets a process do this: containers' filters, Ubuntu's AppArmor rule for
// unprivileged user namespaces, user.max_user_namespaces = 0.
#pragma once

#include <bulkhead/result.hpp>
#include <bulkhead/sandbox.hpp>

namespace bulkhead::sandbox {

/// Needs a process with one thread, and its own /proc. When it
/// fails some of them may be in force, and nothing that was forbidden has become allowed.
Result<void> enter_namespaces(Sandbox::Network network);

}  // namespace bulkhead::sandbox

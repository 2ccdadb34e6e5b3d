// SPDX-License-Identifier: Apache-2.0
//
// Confines the calling process as declared, for good. Called once, in the child, after exec and
// before its role, while it has one thread (apply checks that). An error means that a required
// layer is not in force: the caller must end the process, as some layers may be in force already.
//
// The layers, in this order, one file pair each:
//   1 no_new_privs  no set-uid program and no file capability gains anything: prctl(2)
//   2 namespaces    own user, network, IPC, host name and mount namespaces, an empty root folder
//   3 landlock      files by rule, TCP, signals and abstract sockets kept in, and no tracing:
//   landlock(7) 4 privileges    no capabilities, whoever started us: capabilities(7) 5 limits
//   setrlimit(2): memory, file size, descriptors, CPU time, processes, no core 6 not dumpable other
//   processes of the same user cannot look in: PR_SET_DUMPABLE 7 calls         the system-call
//   filter: seccomp(2)
// and then what is in force is read back from the kernel.
//
// The order is forced: a user namespace is set up while /proc is ours, Landlock forbids mounts, and
// the filter, last, forbids all the calls that the others need.
//
// The parent-death signal survives. A forbidden call raises SIGSYS in the thread that made it; a
// handler installed before apply can tell its number (violation.hpp). Default action: the end.
#pragma once

#include <bulkhead/result.hpp>
#include <bulkhead/sandbox.hpp>

namespace bulkhead::sandbox {

Result<SandboxReport> apply(const Sandbox& sandbox);

}  // namespace bulkhead::sandbox

// SPDX-License-Identifier: Apache-2.0
//
// The second stage: makes the sandbox of this process stricter, for good. After apply(), any number
// of times while the declaration in force says Tighten::allowed.
//
// The filter binds every thread. Landlock binds the calling one and those that it makes, so where
// it has to hold (folders are declared) there must be no other: the kernel is asked, as /proc may
// be out of sight. What cannot be changed any more stays as it is: namespaces, root folder, limits.
#pragma once

#include <bulkhead/result.hpp>
#include <bulkhead/sandbox.hpp>

namespace bulkhead::sandbox {

/// `now` and `report`: what is in force. The new report has a layer "tightened".
Result<SandboxReport> tighten(const Sandbox& now, const Sandbox& next, SandboxReport report);

/// What makes `next` wider than `now`: "network", "readable /etc"; empty when nothing does.
std::string wider(const Sandbox& now, const Sandbox& next);

}  // namespace bulkhead::sandbox

// SPDX-License-Identifier: Apache-2.0
//
// Roles: the one place that knows whether renderers, plugins and the gpu process are processes or
// threads. As threads (`--placement=thread`) nothing confines them and nothing ends them: that is
// there to be compared with.
#pragma once

#include <string>
#include <utility>

#include <bulkhead/channel.hpp>
#include <bulkhead/process.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/sandbox.hpp>

namespace porthole {

class Roles {
 public:
  explicit Roles(bulkhead::Placement placement) noexcept : placement_(placement) {}

  bulkhead::Placement placement() const noexcept { return placement_; }
  bool are_threads() const noexcept { return placement_ == bulkhead::Placement::thread; }

  /// How the role `name` is started. Its arguments and channels are the caller's to add.
  bulkhead::SpawnOptions options(std::string name, bulkhead::Sandbox sandbox) const;

  /// A channel between two of the roles, or between one of them and the browser: `first` stays with
  /// us or goes to whoever asked for it, and takes nothing of what comes on trust.
  bulkhead::Result<std::pair<bulkhead::Channel, bulkhead::Channel>> channel() const;

 private:
  bulkhead::Placement placement_;
};

}  // namespace porthole

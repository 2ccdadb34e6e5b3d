// SPDX-License-Identifier: Apache-2.0
#include "browser/roles.hpp"

namespace porthole {

using bulkhead::Mechanism;
using bulkhead::Placement;

bulkhead::SpawnOptions Roles::options(std::string name, bulkhead::Sandbox sandbox) const {
  bulkhead::SpawnOptions options{.name = std::move(name), .placement = placement_};
  if (are_threads()) {
    options.mechanism = Mechanism::inproc;
  } else {
    options.sandbox = std::move(sandbox);
  }
  // A thread is as untrusted: the code that looks at its messages is the same.
  options.trust = bulkhead::Trust::untrusted;
  return options;
}

bulkhead::Result<std::pair<bulkhead::Channel, bulkhead::Channel>> Roles::channel() const {
  const bulkhead::ChannelOptions options{.trust = bulkhead::Trust::untrusted};
  return bulkhead::pair(are_threads() ? Mechanism::inproc : Mechanism::shm, options);
}

}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
//
// The second half of layer namespaces: an empty, read-only root folder in which only the declared
// files and folders appear, under their own names. mount_namespaces(7), pivot_root(2).
#pragma once

#include <string>
#include <vector>

#include <bulkhead/result.hpp>
#include <bulkhead/sandbox.hpp>

namespace bulkhead::sandbox {

/// A declared file or folder, absolute.
struct Grant {
  enum class Use : std::uint8_t { read, write, load, device };
  std::string path;
  Use use = Use::read;
};

/// The declared paths made absolute, under the name given and the one it resolves to, parents
/// before what is in them. `not_found` for one that does not exist.
Result<std::vector<Grant>> grants(const Sandbox& sandbox);

/// Needs a mount namespace of our own. When it fails before the switch, nothing has changed.
Result<void> change_root(const std::vector<Grant>& granted);

}  // namespace bulkhead::sandbox

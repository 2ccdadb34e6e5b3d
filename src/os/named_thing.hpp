// SPDX-License-Identifier: Apache-2.0
//
// NamedThing: something that bears a name in the system and that its owner left behind, and how it
// is taken away without ever taking something else.
//
// TRUST: between our look and our unlink others may replace what lies there, if the folder is
// theirs too. A path is therefore looked at and unlinked in its folder, held open: links in the
// place of the folder lead nowhere, and a link in the place of the thing is not followed. What is
// there must be of the kind that was recorded, this user's, and the very one that was made.
#pragma once

#include <string>

#include <bulkhead/result.hpp>

#include "os/name_record.hpp"

namespace bulkhead::os {

struct NamedThing {
  Named kind;
  std::string name;
  std::string made;  ///< its identity (name_record.hpp); empty when its owner died before telling

  enum class Verdict {
    gone,     ///< nothing has that name
    removed,  ///< or would be, when only looked at
    other,    ///< something else has it: not ours to take
    in_use,   ///< it is the one, and others than its dead owner use it
  };
  enum class Do { look, remove };

  /// An error when it could not be told or removed: `denied`, ...
  Result<Verdict> take_away(Do what) const;
};

}  // namespace bulkhead::os

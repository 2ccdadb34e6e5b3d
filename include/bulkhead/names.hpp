// SPDX-License-Identifier: Apache-2.0
//
// Names that this user's processes hold in the system (socket paths, FIFOs, message queues), and
// those that a process left behind when it was killed. `bulkhead clean` is made of this.
//
// A name is its owner's while that process, or a forked child of it, lives: by a lock that the
// kernel drops, not by its pid. What was replaced by something else, is another user's, or was
// taken over by a live process is never removed; links are never followed. The next process that
// wants a stale name takes it over anyway: cleaning is for those that nobody wants again.
//
// Any thread and process, at any time, several at once; a cleaner that is killed leaves nothing
// that the next does not find. Never waits for anybody.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include <bulkhead/result.hpp>

namespace bulkhead {

struct OwnedName {
  enum class State : std::uint8_t {
    live,     ///< its owner lives
    stale,    ///< its owner is gone; listing leaves it
    removed,  ///< was stale
    kept,     ///< was stale, and `why` it is still there
  };

  std::string mechanism;  ///< as in addresses: "unix"
  std::string name;       ///< a path, "/name" of a POSIX queue, a System V key
  pid_t owner = 0;        ///< who made it; 0 when that was not written down
  State state = State::live;
  std::string why;
};

/// "live", "stale", "removed", "kept".
BULKHEAD_API std::string_view to_string(OwnedName::State state) noexcept;

/// All of them; removes nothing and disturbs nobody. A name that was recorded and never made, or
/// removed by somebody else, is not there.
BULKHEAD_API Result<std::vector<OwnedName>> list_names();

/// Removes what is stale, and tells of that and what it kept.
BULKHEAD_API Result<std::vector<OwnedName>> remove_stale_names();

}  // namespace bulkhead

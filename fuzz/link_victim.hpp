// SPDX-License-Identifier: Apache-2.0
//
// What holds of a link whatever its peer sends: a message is delivered within its bounds, or the
// link has ended with one of the kinds that a peer can cause, and stays so.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>

#include "transport/link.hpp"

namespace bulkhead::fuzz {

constexpr std::size_t most_message = 64 * 1024;

inline void require(bool holds) {
  if (!holds) std::abort();
}

inline bool a_peer_can_cause(const Error& error) {
  return error == ErrorKind::corrupt || error == ErrorKind::incompatible ||
         error == ErrorKind::closed || error == ErrorKind::peer_died || error == ErrorKind::denied;
}

/// Everything that is there. False when the link has ended.
inline bool receive_all(transport::Link& victim, std::size_t most_handles) {
  Message message;
  for (;;) {
    const auto got = victim.receive(message, os::no_wait);
    if (got) {
      require(message.size() <= most_message && message.handles().size() <= most_handles);
      continue;
    }
    if (got.error() == ErrorKind::empty) return true;
    require(a_peer_can_cause(got.error()) && !got.error().sentence().empty());
    require(victim.receive(message, os::no_wait).error() == got.error().kind());
    return false;
  }
}

inline Bytes take(Bytes& from, std::size_t size) {
  const Bytes taken = from.first(std::min(size, from.size()));
  from = from.subspan(taken.size());
  return taken;
}

}  // namespace bulkhead::fuzz

// SPDX-License-Identifier: Apache-2.0
//
// What a call says of a peer that does not follow the protocol, or follows another version of it.
#pragma once

#include <string>

#include <bulkhead/result.hpp>

namespace bulkhead::transport {

/// It sent what nobody sends who follows the protocol: the link is gone for ever.
inline std::unexpected<Error> lie(const char* cause) {
  return fail(ErrorKind::corrupt, {.cause = std::string{"the peer broke the protocol: "} + cause});
}

inline std::unexpected<Error> other_version(unsigned theirs, unsigned ours) {
  return fail(ErrorKind::incompatible,
              {.cause = "the peer speaks version " + std::to_string(theirs) +
                        " of this protocol, this process version " + std::to_string(ours),
               .remedy = "build both with the same version of Bulkhead"});
}

}  // namespace bulkhead::transport

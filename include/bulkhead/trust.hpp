// SPDX-License-Identifier: Apache-2.0
//
// Trust: what is assumed of the process at the other end. An option of spawn, listen and connect.
#pragma once

#include <cstdint>

namespace bulkhead {

enum class Trust : std::uint8_t {
  /// Code of ours, as likely to be right as this process. Its bytes may be looked at in place.
  equal,
  /// It may be under an attacker's control: its bytes are copied before they are judged, and the
  /// worst that it can do is lose its own connection. The default for sandboxed children and for
  /// processes of other users.
  untrusted,
};

}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
//
// What a message queue of the kernel carries for the posix_mq and sysv_mq mechanisms. The kernel's
// messages are called units here: it keeps their boundaries, gives the one of the highest priority
// first, and keeps the order of those of one priority.
//
// LAYOUT of a unit that begins something (little-endian as the machine: both ends are on it)
//   offset  size  field
//   0       1     type
//   1       1     version
//   2       2     zero
//   4       4     size: of the whole message (message), or of what follows (batch)
//   8       n     message: all of it, or as much as the unit holds; batch: entries
// LAYOUT of an entry of a batch: its size (4 bytes), its bytes; not aligned
// LAYOUT of a unit that goes on with a message: its next bytes and nothing else, as many as a unit
//   holds or are left. Without a header it is sent from where the user's bytes lie and received
//   where they belong. A unit of no bytes takes the message back.
//
// A sender has one message under way at a time. A receiver may have one of each priority: the rest of
// one may still lie in the queue, whole or taken back, when one of a higher priority overtakes it.
//
// STATE of one priority, as the receiver sees it
//   idle     --message, all of it--> idle          delivers it
//   idle     --batch--> idle                       delivers its entries; priority 0 only
//   idle     --message, the first of it--> partial
//   partial  --more--> partial, and at its end --> idle   delivers the message
//   partial  --no bytes--> idle                    nothing is delivered
//   any      --anything else--> corrupt, for ever
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace bulkhead::transport::queue_frame {

enum class Type : std::uint8_t { message = 1, batch = 2 };

struct Header {
  std::uint8_t type = 0;
  std::uint8_t version = 1;
  std::uint16_t zero = 0;
  std::uint32_t size = 0;
};
static_assert(sizeof(Header) == 8 && offsetof(Header, version) == 1 &&
              offsetof(Header, zero) == 2 && offsetof(Header, size) == 4);

using EntrySize = std::uint32_t;

/// The system's bounds may be anything; units outside of these are not used, whoever made them.
inline constexpr std::size_t least_unit = 128;
inline constexpr std::size_t most_unit = 1 << 20;
inline constexpr std::size_t most_message = std::numeric_limits<std::uint32_t>::max();

}  // namespace bulkhead::transport::queue_frame

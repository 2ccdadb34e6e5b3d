// SPDX-License-Identifier: Apache-2.0
//
// sysv_mq: channels over message queues of System V, one queue a direction, made by its sender
// (queue_frame.hpp: what goes through it; the type of a unit is 32 less its priority, and a
// receiver takes the lowest first).
//
// Such a queue is no descriptor: it polls for nothing, ends with nobody, and waiting in msgrcv(2)
// knows neither deadlines nor a peer's death. Beside the two queues stand therefore a Unix socket,
// whose hang-up is the peer's death, and bells (sysv_mq_bell.hpp), which are rung only for who
// sleeps. Rejected: a timer signal (not a library's), IPC_NOWAIT with naps (every message late by
// half a nap), a thread that waits in msgrcv.
//
// Address: sysv://KEY, KEY a decimal number, 0xHEX, or a path with `?id=1..255` for ftok(3).
// Meeting: at a socket in the runtime directory named by the key; the key's own queue is the
// listener's claim (sysv_mq_queue.hpp). Each Channel has queues of its own. Rejected: all clients
// through one queue by type. Its 16 KiB (msgmnb) would be the room of all together, so that one
// that is not read stops the others; and "the lowest type first", which is priority here, cannot
// be asked of a part of the types.
//
// LAYOUT of a hello (a packet on the socket, behind a header of unix_frame.hpp of type hello)
//   offset  size  field
//   0       8     magic "sysv-bul"
//   8       4     version
//   12      4     key of the queue that its sender sends through; 0: it does not send
//   16      8     unit: bytes in one message of the kernel
// with the descriptors of OwnBells::passing(). Before an end makes its queue it sends a packet of
// type `announcement`: its key and its pid (4 bytes each). A close packet as in unix_frame.hpp ends it; with it go
// the name of its sender's record and, as a descriptor, the lock on it (os/name_record.hpp). For a
// pair of one way the maker leaves a packet of type `role` for each end: one byte, a Direction.
//
// STATE of an end
//   unbound --first use--> bound    makes its queue and bells, sends its hello
//   bound --peer's hello--> joined  finds the peer's queue and bells
//   any --close packet--> closed,  --hang-up--> peer_died, --anything else--> corrupt
// Queues: an end removes the one it reads when it closes, and the one it sends through when the
// peer has gone. When both die, their records (os/name_record.hpp) lead `bulkhead clean` to them;
// when one does, the other drops its record too. The record of a queue that is left to the peer goes
// to it with the close packet, so that it holds whether the peer ever looks or is killed first.
//
// TRUST: the socket's packets are checked; a queue is used only when it is this user's, and found
// by a key that cannot be guessed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "transport/link.hpp"

namespace bulkhead::transport::sysv_mq {

struct Hello {
  std::uint64_t magic = 0x6c75622d76737973;  // "sysv-bul"
  std::uint32_t version = 1;
  std::int32_t key = 0;
  std::uint64_t unit = 0;
};
static_assert(sizeof(Hello) == 24 && offsetof(Hello, version) == 8 && offsetof(Hello, key) == 12 &&
              offsetof(Hello, unit) == 16);

/// Beside the types of unix_frame.hpp.
inline constexpr std::uint8_t role_packet = 16;
inline constexpr std::uint8_t announcement_packet = 17;

struct Announcement {
  std::int32_t key = 0;
  std::int32_t pid = 0;
};
static_assert(sizeof(Announcement) == 8 && offsetof(Announcement, pid) == 4);

/// An end of which this is the socket.
Result<std::unique_ptr<Link>> adopt_socket(Fd socket, const ChannelOptions& options);

/// What `name` leads to (sysv_mq_meeting.cpp).
Result<std::unique_ptr<Link>> connect(const std::string& name, Deadline deadline,
                                      const ChannelOptions& options);
Result<std::unique_ptr<Acceptor>> listen(const std::string& name, const ChannelOptions& options,
                                         bool other_users);

}  // namespace bulkhead::transport::sysv_mq

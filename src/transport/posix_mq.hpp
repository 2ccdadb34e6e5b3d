// SPDX-License-Identifier: Apache-2.0
//
// posix_mq: channels over POSIX message queues, one queue a direction (posix_mq_queue.hpp: how it
// tells of death and close without anything beside it; queue_frame.hpp: what goes through it).
//
// Address: mq:///NAME, the kernel's name "/NAME"; with `?unit=BYTES` and `?depth=MESSAGES` a client
// asks for queues of that size, within the system's limits.
//
// Meeting: the listener's queue carries requests and nothing else. A client makes two queues of its
// own with random names, mode 0600, and puts their names into the listener's queue; the listener
// opens them, unlinks them, and has a Channel with queues of its own, which the kernel removes with
// the last who has them open. Rejected: all clients' messages through the listener's queue. One
// accepted Channel that is not read would fill it and stop all others, and ten messages (msg_max)
// would be the room of all clients together.
// A client does not wait until it is accepted, but until its request is in the listener's queue.
//
// Dying at any moment: a client asks before it makes the queues, so that their names are always
// where the listener, or the next one of that name, finds them. When they are made and their sides
// held it marks the one that it sends to (the only one, if it has one), and rings, by a change of
// the mode of the listener's queue, which is none (IN_ATTRIB). Until it is taken in it holds a lock
// on a byte of the listener's queue which its random bits choose: what one without it asked for, and
// did not mark, is unlinked. The listener looks for the lock before it looks for the queues: a client
// may make them, send and leave between the two.
//
// LAYOUT of a request (32 bytes, in units of 128)
//   offset  size  field
//   0       8     magic "mqueue-b"
//   8       4     version
//   12      4     queues: bit 0 the client sends, bit 1 the client receives
//   16      16    random
// The queues are "/bulkhead.HEX.c" (client to listener) and "/bulkhead.HEX.s".
//
// TRUST: the listener's queue is open to this user alone; what is in it may still be anything, and
// is ignored unless it leads to queues of this user with usable sizes. Other users are not let in
// at all: queues that two users can open, a third could open too before they are unlinked.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "os/named_thing.hpp"
#include "transport/link.hpp"

namespace bulkhead::transport::posix_mq {

struct Request {
  std::uint64_t magic = 0x622d65756575716d;  // "mqueue-b"
  std::uint32_t version = 2;                 // 1: queues without the mark
  std::uint32_t queues = 0;
  std::array<std::uint8_t, 16> random{};
};
static_assert(sizeof(Request) == 32 && offsetof(Request, version) == 8 &&
              offsetof(Request, queues) == 12 && offsetof(Request, random) == 16);

inline constexpr std::uint32_t client_sends = 1;
inline constexpr std::uint32_t client_receives = 2;
/// Of the listener's queue.
inline constexpr std::size_t request_unit = 128;

/// The names of the queues of a request: to the listener, from it.
struct Names {
  std::string to_listener;
  std::string from_listener;
  explicit Names(const Request& request);
  /// Those that `request` has; nothing when they are not there.
  static void unlink(const Request& request) noexcept;
};

/// A client's request while nobody has taken it: the listener's queue, and the client's names.
class Visit {
 public:
  /// Puts the request there, waiting for room. `watcher` also rings for the listener's end.
  static Result<std::unique_ptr<Visit>> ask(const std::string& name, Deadline deadline,
                                            const ChannelOptions& options, Fd& out, Fd& in,
                                            FdView watcher);
  virtual ~Visit() = default;
  /// Somebody has opened our queues: the visit is over.
  virtual bool is_taken() const noexcept = 0;
  /// Nobody will.
  virtual std::optional<ErrorKind> is_refused() const noexcept = 0;
  virtual pid_t listener() const noexcept = 0;
  /// The names go, unless messages for a listener that lives are behind them.
  virtual void leave() noexcept = 0;
};

/// What `name` leads to.
Result<std::unique_ptr<Acceptor>> listen_at(const std::string& name, const ChannelOptions& options,
                                            bool other_users);

/// See MechanismEntry.
std::vector<os::NamedThing> left_by_clients(const std::string& name, os::NamedThing::Do what,
                                            bool listener_lives);

/// An end of which the descriptors are open; either may be missing.
std::unique_ptr<Link> make_link(Fd out, Fd in, const ChannelOptions& options);

}  // namespace bulkhead::transport::posix_mq

// SPDX-License-Identifier: Apache-2.0
//
// What crosses the control socket (SOCK_SEQPACKET): the hello of each end, once; then, until its
// sender moves to memory, records of messages; `moved`, once; then handles, each packet before the
// record that it belongs to; and by its hang-up, the end. Only the receiving thread reads it after
// the hello. Nothing here blocks: `empty` and `full` are the caller's to wait out.
//
// LAYOUT of a packet: PacketHead, then by kind
//   hello    Hello's fields; descriptors: segment, bell for our data, bell for your space; or
//            capacity 0 and none: its sender has no memory
//   refuse   Refusal's fields: the oldest and newest version that its sender speaks
//   bye      nothing: closed in good order, by an end that sends no records in memory
//   handles  count, 0, then two bytes (kind, mechanism) for each descriptor
//   record   RecordPacket's fields, what a record has behind its header, then two bytes for each
//            descriptor
//   moved    nothing: what its sender sends next is in its ring
//
// STATE of an end, as its peer sees it
//   silent    -> on socket  hello
//   silent    -> refused    refuse: our hello has a version or layout that it does not speak
//   silent    -> closed     bye
//   on socket -> refused    refuse: it read our hello after it had sent its own
//   on socket -> on socket  record
//   on socket -> closed     bye
//   on socket -> in memory  moved: we have told it in our segment that we have mapped its own
//   in memory -> in memory  handles
// TRUST: lengths, counts, kinds and numbers of descriptors are checked; whatever is wrong, or comes
// in another state, is `corrupt`, and every descriptor that came is closed.
#pragma once

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include <bulkhead/fd.hpp>
#include <bulkhead/handle.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/trust.hpp>

#include "transport/shm/inbox.hpp"
#include "transport/shm/layout.hpp"

namespace bulkhead::transport::shm {

/// The most handles in a message: what one packet carries (unix(7)), or, from an untrusted peer,
/// what it is allowed to have us hold.
constexpr std::uint32_t most_handles(Trust trust) noexcept {
  return trust == Trust::equal ? 253 : 16;
}

struct PacketHead {
  enum : std::uint16_t { hello = 1, refuse = 2, bye = 3, handles = 4, record = 5, moved = 6 };

  std::uint32_t magic;
  std::uint16_t kind;
  std::uint16_t version;
};
static_assert(sizeof(PacketHead) == 8);

/// LAYOUT  0 head, 8 layout_hash, 16 capacity, 24 most_handles, 28 zero
struct Hello {
  PacketHead head;
  std::uint64_t layout_hash;
  std::uint64_t capacity;
  std::uint32_t most_handles;  // that its sender takes with one message
  std::uint32_t zero;
};
static_assert(sizeof(Hello) == 32 && offsetof(Hello, capacity) == 16);

/// LAYOUT  0 head, 8 oldest, 10 newest, 12 zero
struct Refusal {
  PacketHead head;
  std::uint16_t oldest;
  std::uint16_t newest;
  std::uint32_t zero;
};
static_assert(sizeof(Refusal) == 16);

/// LAYOUT  0 head, 8 record (as a RecordHeader), 16 handles, 20 zero
struct RecordPacket {
  PacketHead head;
  std::uint64_t record;
  std::uint32_t handles;
  std::uint32_t zero;
};
static_assert(sizeof(RecordPacket) == 24 && offsetof(RecordPacket, handles) == 16);

/// What a record that is a packet has behind its header, at most. Larger packets would need larger
/// allocations of the kernel.
inline constexpr std::size_t most_in_packet = 60 * 1024;
inline constexpr std::size_t longest_record_packet =
    sizeof(RecordPacket) + most_in_packet + 2 * most_handles(Trust::equal);

/// What a peer's hello brought. The descriptors are not judged yet.
struct PeerHello {
  std::uint64_t capacity;  // 0: it has no memory, or we had no descriptors for it
  std::uint32_t most_handles;
  Fd segment{};
  Fd data_bell{};
  Fd space_bell{};
};

/// What the peer sends while it is on the socket.
struct Arrival {
  bool moved = false;  // no record: the next is in its ring
  RecordHeader header{};
  Bytes payload;  // in the room that was given
  std::vector<Handle> handles;
};

class Control {
 public:
  /// Both stay the caller's. Without an inbox what comes is taken from the socket.
  explicit Control(FdView socket, Inbox* inbox = nullptr) noexcept
      : socket_(socket), inbox_(inbox) {}

  /// `closed` when the peer is gone.
  Result<void> send_hello(std::uint64_t capacity, Trust trust, FdView segment, FdView data_bell,
                          FdView space_bell) const;
  Result<void> send_hello_without_memory(Trust trust) const;
  void send_bye() const noexcept;

  /// The peer's hello. `empty` while it has not come; `closed` when it said bye instead,
  /// `peer_died` when it hung up without a word; `incompatible` when one of us refuses the other
  /// (the peer is told by then).
  Result<PeerHello> receive_hello() const;

  /// `full` when the socket is. `total` stands before the payload, in a first piece.
  Result<void> send_record(RecordHeader header, Bytes total, Bytes payload,
                           std::span<const Handle> handles) const;
  Result<void> send_moved() const;
  /// What comes after the hello. `closed` and `peer_died` as there, `exhausted` when descriptors
  /// were lost on their way in. `room` has longest_record_packet bytes, aligned to 8.
  Result<Arrival> receive_arrival(MutableBytes room, std::uint32_t most_handles) const;

  /// `full` when the socket is; `unsupported` for a handle that cannot leave this process.
  Result<void> send_handles(std::span<const Handle> handles) const;
  /// Those that a record announced: a peer that has not sent them before is `corrupt`.
  Result<std::vector<Handle>> receive_handles(std::uint32_t most) const;

 private:
  Result<os::Packet> next(MutableBytes into, std::size_t most_fds) const;

  FdView socket_;
  Inbox* inbox_;
};

}  // namespace bulkhead::transport::shm

// SPDX-License-Identifier: Apache-2.0
//
// What crosses the control socket (SOCK_SEQPACKET): the hello of each end, once; then handles, each
// packet before the record that it belongs to; and by its hang-up, the end. Only the receiving
// thread reads it after the hello. Nothing here blocks: `empty` and `full` are the caller's to wait
// out.
//
// LAYOUT of a packet: PacketHead, then by kind
//   hello    Hello's fields; descriptors: segment, bell for our data, bell for your space
//   refuse   Refusal's fields: the oldest and newest version that its sender speaks
//   bye      nothing: closed in good order before it ever said hello
//   handles  count, 0, then two bytes (kind, mechanism) for each descriptor
//
// STATE of an end, as its peer sees it
//   silent -> known     hello
//   silent -> refused   refuse: our hello has a version or layout that it does not speak
//   silent -> closed    bye
//   known  -> refused   refuse: it read our hello after it had sent its own
// TRUST: lengths, counts, kinds and numbers of descriptors are checked; whatever is wrong is
// `corrupt`, and every descriptor that came is closed.
#pragma once

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include <bulkhead/fd.hpp>
#include <bulkhead/handle.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/trust.hpp>

#include "transport/shm/layout.hpp"

namespace bulkhead::transport::shm {

/// The most handles in a message: what one packet carries (unix(7)), or, from an untrusted peer,
/// what it is allowed to have us hold.
constexpr std::uint32_t most_handles(Trust trust) noexcept {
  return trust == Trust::equal ? 253 : 16;
}

struct PacketHead {
  enum : std::uint16_t { hello = 1, refuse = 2, bye = 3, handles = 4 };

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

/// What a peer's hello brought. The descriptors are not judged yet.
struct PeerHello {
  std::uint64_t capacity;
  std::uint32_t most_handles;
  Fd segment;
  Fd data_bell;
  Fd space_bell;
};

class Control {
 public:
  /// `socket` stays the caller's.
  explicit Control(FdView socket) noexcept : socket_(socket) {}

  /// `closed` when the peer is gone.
  Result<void> send_hello(std::uint64_t capacity, Trust trust, FdView segment, FdView data_bell,
                          FdView space_bell) const;
  void send_bye() const noexcept;

  /// The peer's hello. `empty` while it has not come; `closed` when it said bye instead,
  /// `peer_died` when it hung up without a word; `incompatible` when one of us refuses the other
  /// (the peer is told by then).
  Result<PeerHello> receive_hello() const;

  /// `full` when the socket is; `unsupported` for a handle that cannot leave this process.
  Result<void> send_handles(std::span<const Handle> handles) const;
  /// Those that a record announced: a peer that has not sent them before is `corrupt`.
  Result<std::vector<Handle>> receive_handles(std::uint32_t most) const;

 private:
  FdView socket_;
};

}  // namespace bulkhead::transport::shm

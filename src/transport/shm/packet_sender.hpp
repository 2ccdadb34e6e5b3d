// SPDX-License-Identifier: Apache-2.0
//
// PacketSender: the sending half of an end while its messages go over the control socket: before
// both ends have mapped memory, or where one of them cannot. The records are those of the ring, each
// a packet (control.hpp).
//
// A message that was begun goes on to its end here, or is taken back; the packet for that is owed
// when the socket is full, and goes before anything else. One thread at a time.
#pragma once

#include <cstddef>
#include <span>

#include <bulkhead/bytes.hpp>
#include <bulkhead/deadline.hpp>
#include <bulkhead/handle.hpp>

#include "transport/shm/binding.hpp"

namespace bulkhead::transport::shm {

class PacketSender {
 public:
  explicit PacketSender(Binding& binding) noexcept : binding_(&binding) {}

  /// Goes on at the byte `done`. `closed` when the peer takes nothing any more.
  Result<void> send(Bytes bytes, std::span<const Handle> handles, std::size_t& done,
                    Deadline deadline);
  /// After an error in the middle of a message.
  void take_back(std::size_t done) noexcept;
  /// Sends what is owed: before each new message.
  Result<void> settle(Deadline deadline);
  Result<void> await_room(Deadline deadline);

 private:
  Result<void> add(RecordHeader header, Bytes total, Bytes payload, std::span<const Handle> handles,
                   Deadline deadline);

  Binding* binding_;
  bool abort_owed_ = false;
};

}  // namespace bulkhead::transport::shm

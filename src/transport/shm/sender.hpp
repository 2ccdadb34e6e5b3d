// SPDX-License-Identifier: Apache-2.0
//
// Sender: the sending half of an end. One thread at a time.
//
// Until both ends have mapped memory, and where one cannot, messages go over the control socket
// (PacketSender), loans are built aside. In memory: a message that fits half the ring is one record.
// A larger one streams through in pieces, each leaving room for the record that takes the message
// back when the deadline comes in the middle. Handles go over the control socket before their record
// is published, so a receiver that sees the record finds them.
// Peer death: noticed when there is no room; in memory a send that fits succeeds even then.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <bulkhead/bytes.hpp>
#include <bulkhead/deadline.hpp>
#include <bulkhead/handle.hpp>
#include <bulkhead/message.hpp>

#include "transport/shm/binding.hpp"
#include "transport/shm/packet_sender.hpp"
#include "transport/shm/ring_writer.hpp"
#include "transport/shm/sleeper.hpp"

namespace bulkhead::transport::shm {

class Sender {
 public:
  explicit Sender(Binding& binding) noexcept : binding_(&binding), packets_(binding) {}

  /// As Link's.
  bool send_at_once(Bytes bytes) {
    if (!ready_ || !binding_->live() || bytes.size() > largest_ ||
        !writer_->has_room(record_bytes(bytes.size()))) [[unlikely]] {
      return false;
    }
    binding_->note_send();
    writer_->add({.size = static_cast<std::uint32_t>(bytes.size()), .flags = RecordHeader::none},
                 bytes);
    writer_->publish();
    const News news = writer_->news_for_peer();
    if (news == News::none) [[likely]]
      return true;
    if (news == News::ring) {
      writer_->ring();
      return true;
    }
    ready_ = false;  // nobody will read it: the long way says so
    return false;
  }

  Result<void> send(Bytes bytes, std::span<Handle> handles, Deadline deadline) {
    if (handles.empty() && send_at_once(bytes)) return {};
    binding_->note_send();
    return send_slowly(bytes, handles, deadline);
  }

  Result<std::size_t> send_many(std::span<const Bytes> messages, Deadline deadline);

  /// As Link's: a large message goes on at the byte `done`.
  Result<void> send_part(Bytes bytes, std::span<Handle> handles, std::size_t& done);
  Result<void> abort_part(std::size_t done);

  Result<MutableBytes> loan(std::size_t size, Deadline deadline);
  Result<void> commit();
  void abandon() noexcept;

  Result<FdView> writable();

 private:
  static constexpr std::uint64_t batch_messages = 32;

  Result<void> publish() {
    writer_->publish();
    const News news = writer_->news_for_peer();
    if (news == News::none) [[likely]]
      return {};
    return tell(news);
  }
  Result<void> tell(News news);

  /// Before each message: binds, takes note of a hello that has come, and moves to memory as soon
  /// as both ends can.
  Result<void> prepare(Deadline deadline);
  bool in_memory() const noexcept { return writer_.has_value(); }
  Result<void> move();
  Result<void> send_slowly(Bytes bytes, std::span<Handle> handles, Deadline deadline);
  Result<void> check_goes_at_once(std::size_t size);
  Result<void> send_packets(Bytes bytes, std::span<Handle> handles, std::size_t& done,
                            Deadline deadline);
  Result<void> send_record(Bytes bytes, std::span<Handle> handles, Deadline deadline);
  Result<void> send_pieces(Bytes bytes, std::span<Handle> handles, Deadline deadline);
  Result<void> send_piece(Bytes whole, std::size_t& at, std::span<const Handle> handles,
                          Deadline deadline);
  Result<void> check(std::size_t size, std::span<Handle> handles, Deadline deadline);
  Result<void> send_handles(std::span<const Handle> handles, Deadline deadline);

  Result<void> await_room(std::uint64_t bytes, Deadline deadline);
  /// `full`, or the end if it has come; success when room has.
  Result<void> no_room_now(std::uint64_t bytes);
  std::unexpected<Error> ended();
  Result<MutableBytes> lend_aside(std::size_t size, Deadline deadline);

  Binding* binding_;
  std::optional<RingWriter> writer_;  // once it has moved to memory
  std::optional<Sleeper> sleeper_;    // with it
  std::optional<Error> end_;          // for this half: the other may still have messages to receive
  std::size_t largest_ = 0;           // payload of one record
  std::uint32_t lent_ = 0;            // size of the loan that is out
  bool ready_ = false;                // in memory, no loan is out, no end
  bool loan_out_ = false;
  // Of the socket's part, behind what the hot path looks at.
  bool lent_aside_ = false;
  PacketSender packets_;
  Message aside_;
  Deadline aside_deadline_ = Deadline::never();
};

}  // namespace bulkhead::transport::shm

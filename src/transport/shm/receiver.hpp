// SPDX-License-Identifier: Apache-2.0
//
// Receiver: the receiving half of an end. One thread at a time; it alone reads the control socket
// after the hello.
//
// Records come as packets of that socket until the peer says that it has moved, and are read from
// its ring from then on. What is made of them is the same.
//
// STATE of a larger message
//   none -> partial    its first piece came; grows with the pieces, not with what it promises
//   partial -> none    its last piece came: delivered whole; or it was taken back: dropped
// A deadline in the middle keeps what has come for the next call.
// Peer death: the control socket hangs up while nothing is there to receive.
// TRUST: records are judged by RingReader; sizes against our own maximum; the payload is copied
// once, before anybody judges it; a packet is a copy already. In place (view) only from an equal
// peer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <bulkhead/bytes.hpp>
#include <bulkhead/deadline.hpp>
#include <bulkhead/message.hpp>

#include "transport/shm/binding.hpp"
#include "transport/shm/copy.hpp"
#include "transport/shm/ring_reader.hpp"
#include "transport/shm/sleeper.hpp"

namespace bulkhead::transport::shm {

class Receiver {
 public:
  explicit Receiver(Binding& binding) noexcept : binding_(&binding) {}

  /// As Link's.
  bool receive_at_once(Message& into) {
    if (!ready_ || !binding_->live() || partial_ongoing_ || reader_->caught_up()) return false;
    const auto record = reader_->record();
    if (record.header.flags != RecordHeader::none || record.header.size > largest_) return false;
    const std::uint32_t size = record.header.size;
    if (size > Message::inline_bytes) return take(record, into).has_value();
    into.clear();
    copy_bytes(into.resize(size).data(), record.payload, size);
    if (reader_->consume(size)) give_back();
    return true;
  }

  Result<void> receive(Message& into, Deadline deadline) {
    if (!ready_ || !binding_->live()) [[unlikely]] {
      if (BULKHEAD_TRY(prepare(into, deadline))) return {};
    }
    if (reader_->caught_up()) leave_alone();
    if (!reader_->has_news()) {
      if (auto news = await_news(deadline); !news) [[unlikely]]
        return news;
    }
    const auto record = reader_->record();
    if (record.header.flags == RecordHeader::none && record.header.size <= largest_ &&
        !partial_ongoing_) [[likely]] {
      return take(record, into);
    }
    return take_special(into, deadline);
  }

  Result<std::optional<Bytes>> view(Deadline deadline);
  void release() noexcept;

  Result<FdView> readable();

 private:
  /// Binds, waits for the peer's hello, and receives while the peer is on the socket: then true.
  /// False: it has moved, and the ring is to be looked at.
  Result<bool> prepare(Message& into, Deadline deadline);
  Result<bool> receive_packet(Message& into, Deadline deadline);
  Result<void> enter_ring();
  std::unexpected<Error> ended_on_socket(Error error);

  Result<void> await_news(Deadline deadline);
  /// `empty`, or the end if it has come; success when news has.
  Result<void> no_news_now();
  void leave_alone() noexcept;
  void back_off() noexcept;
  void give_back() noexcept {
    if (reader_->give_back()) reader_->ring();
  }
  std::unexpected<Error> ended();
  std::unexpected<Error> lied(const char* how);

  Result<void> take(const RingReader::Record& record, Message& into);
  Result<void> take_special(Message& into, Deadline deadline);
  /// One record of a larger message, or with handles. True when the message in `partial_` is whole.
  Result<bool> take_part();
  /// The same, wherever the record lies. `beside`: its handles, if they came with it.
  Result<bool> join(RecordHeader header, Bytes part, std::vector<Handle>* beside);
  Result<void> begin(std::uint32_t flags, Bytes& part, std::vector<Handle>* beside);
  Result<void> append(Bytes part);

  Binding* binding_;
  std::optional<RingReader> reader_;
  std::optional<Sleeper> sleeper_;
  std::size_t largest_ = 0;   // what a message may have
  std::uint32_t viewed_ = 0;  // size of the record that is looked at in place
  std::uint32_t sends_ = 0;   // of this end, at the last receive
  bool streaming_ = false;    // nothing was sent between the last two batches
  int pauses_ = 4;            // of the next back_off()
  bool ready_ = false;        // the peer is in memory and no view is out
  bool view_out_ = false;
  bool partial_ongoing_ = false;
  Message partial_;
  std::uint64_t arrived_ = 0;
  std::uint64_t total_ = 0;
  std::unique_ptr<std::uint64_t[]> room_;  // for a packet
  std::optional<Message> early_;           // came while a view was asked for
};

}  // namespace bulkhead::transport::shm

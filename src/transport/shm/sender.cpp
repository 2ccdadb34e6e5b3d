// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/sender.hpp"

#include <algorithm>
#include <new>
#include <poll.h>
#include <string>
#include <utility>

#include "os/poll.hpp"

namespace bulkhead::transport::shm {
namespace {

Error no_loan_is_out() {
  return {ErrorKind::invalid, {.operation = "send", .object = "loan", .cause = "none is out"}};
}

std::unexpected<Error> refuse_size(std::size_t size, const char* of_what, std::uint64_t most,
                                   const char* remedy) {
  return fail(ErrorKind::too_large, {.cause = std::to_string(size) + " bytes are more than " +
                                              of_what + " of " + std::to_string(most),
                                     .remedy = remedy});
}

}  // namespace

Result<void> Sender::prepare(Deadline deadline) {
  if (end_) return fail(*end_);
  if (loan_out_) {
    return fail(ErrorKind::invalid, {.operation = "send",
                                     .object = "shm channel",
                                     .cause = "a loan is out",
                                     .remedy = "send or drop it first"});
  }
  BULKHEAD_TRY(binding_->bind());
  if (largest_ == 0) {
    largest_ = std::min(rounded_capacity(binding_->options().capacity_bytes) / 2 - header_bytes,
                        binding_->options().max_message_bytes);
  }
  if (in_memory()) return {};
  if (auto settled = packets_.settle(deadline); !settled) {
    return settled.error() == ErrorKind::closed ? ended() : settled;
  }
  auto met = binding_->meet(os::no_wait);
  if (met) return move();
  return met.error() == ErrorKind::empty ? Result<void>{} : met;
}

/// The next message goes through memory, if both ends can and the peer can be told now.
Result<void> Sender::move() {
  const auto moved = binding_->move_out();
  if (!moved) {
    if (moved.error() == ErrorKind::full) return {};
    if (moved.error() == ErrorKind::closed) return ended();
    return fail(moved.error());
  }
  if (!*moved) return {};
  const PeerWords peer{binding_->peer().words()};
  writer_.emplace(binding_->own(), binding_->data_bell(), peer, binding_->setup().first_cursor);
  sleeper_.emplace(Sleeper::For::space, binding_->own().words(), peer, binding_->space_watch(),
                   binding_->space_wakes(), binding_->control_socket(), binding_->place());
  aside_ = {};
  ready_ = true;
  return {};
}

Result<void> Sender::tell(News news) {
  if (news == News::ring) {
    writer_->ring();
    return {};
  }
  return ended();
}

std::unexpected<Error> Sender::ended() {
  ready_ = false;
  if (!in_memory()) {
    end_ = binding_->why_gone();
  } else if (auto verdict = binding_->verdict(); !verdict) {
    end_ = std::move(verdict).error();
  } else {
    const bool politely = PeerWords{binding_->peer().words()}.closed();
    end_ = Error{politely ? ErrorKind::closed : ErrorKind::peer_died};
  }
  return fail(*end_);
}

Result<void> Sender::await_room(std::uint64_t bytes, Deadline deadline) {
  for (;;) {
    if (writer_->has_room(bytes)) return {};
    if (writer_->lied_to()) {
      end_ = binding_
                 ->end({ErrorKind::corrupt,
                        {.cause = "the peer says it has read what was never written"}})
                 .error();
      ready_ = false;
      return fail(*end_);
    }
    if (deadline == os::no_wait) return no_room_now(bytes);
    const auto ready = [&] { return writer_->has_room(bytes) || writer_->lied_to(); };
    switch (sleeper_->wait(ready, [] {}, deadline)) {
      case Wake::ready:
        break;
      case Wake::timed_out:
        return fail(ErrorKind::timed_out);
      case Wake::hung_up:
        return ended();
    }
  }
}

Result<void> Sender::no_room_now(std::uint64_t bytes) {
  if (const Outside& outside = binding_->writable(); outside) {
    outside.quiet();
    sleeper_->arm_for_outside();
    if (writer_->has_room(bytes)) return {};
  }
  if (sleeper_->hung_up()) return ended();
  return fail(ErrorKind::full);
}

Result<void> Sender::check(std::size_t size, std::span<Handle> handles, Deadline deadline) {
  if (size > binding_->options().max_message_bytes) {
    return refuse_size(size, "the channel's maximum", binding_->options().max_message_bytes,
                       "raise ChannelOptions::max_message_bytes");
  }
  // Nothing can be taken back from a socket: what the peer takes must be known first. So many it
  // takes whoever it is, and they may go before its first use.
  if (handles.size() <= most_handles(Trust::untrusted)) return {};
  if (auto met = binding_->meet(deadline); !met) {
    return met.error() == ErrorKind::empty ? fail(ErrorKind::full) : met;
  }
  if (handles.size() > binding_->handle_limit()) {
    return fail(ErrorKind::too_large,
                {.cause = std::to_string(handles.size()) + " handles are more than the " +
                          std::to_string(binding_->handle_limit()) + " that one message carries"});
  }
  return {};
}

Result<void> Sender::send_slowly(Bytes bytes, std::span<Handle> handles, Deadline deadline) {
  BULKHEAD_TRY(prepare(deadline));
  BULKHEAD_TRY(check(bytes.size(), handles, deadline));
  if (!in_memory()) {
    if (deadline == os::no_wait) BULKHEAD_TRY(check_goes_at_once(bytes.size()));
    std::size_t done = 0;
    auto sent = send_packets(bytes, handles, done, deadline);
    if (!sent && !end_) packets_.take_back(done);
    BULKHEAD_TRY(std::move(sent));
  } else {
    BULKHEAD_TRY(bytes.size() <= largest_ ? send_record(bytes, handles, deadline)
                                          : send_pieces(bytes, handles, deadline));
  }
  for (Handle& handle : handles) static_cast<void>(std::move(handle).take_fd());
  return {};
}

/// Through a socket that has room at all.
Result<void> Sender::check_goes_at_once(std::size_t size) {
  if (size <= binding_->socket_room()) return {};
  const std::size_t ring = rounded_capacity(binding_->options().capacity_bytes);
  const bool later = !binding_->stays_on_socket() && size < ring;
  if (later) return fail(ErrorKind::full);
  return refuse_size(size, "can go without waiting", binding_->socket_room(),
                     "send it with a deadline, or raise ChannelOptions::capacity_bytes");
}

Result<void> Sender::send_packets(Bytes bytes, std::span<Handle> handles, std::size_t& done,
                                  Deadline deadline) {
  auto sent = packets_.send(bytes, handles, done, deadline);
  if (sent) return sent;
  if (sent.error() == ErrorKind::closed) return ended();
  if (sent.error() != ErrorKind::full) return sent;
  if (const Outside& outside = binding_->writable(); outside) outside.quiet();
  return sent;
}

Result<void> Sender::send_record(Bytes bytes, std::span<Handle> handles, Deadline deadline) {
  BULKHEAD_TRY(await_room(record_bytes(bytes.size()), deadline));
  // With the room certain, nothing stands between the handles and their record.
  if (!handles.empty()) BULKHEAD_TRY(send_handles(handles, deadline));
  writer_->add({.size = static_cast<std::uint32_t>(bytes.size()),
                .flags = handles.empty() ? RecordHeader::none : RecordHeader::handles},
               bytes);
  return publish();
}

Result<void> Sender::send_pieces(Bytes bytes, std::span<Handle> handles, Deadline deadline) {
  if (deadline == os::no_wait) {
    // All or nothing, and half of it would have to be taken back: only when all fits at once.
    const std::uint64_t pieces = bytes.size() / (writer_->piece_record() - header_bytes) + 2;
    const std::uint64_t all = bytes.size() + pieces * (header_bytes + 8);
    if (all > writer_->capacity()) {
      return refuse_size(bytes.size(), "fit a ring", writer_->capacity(),
                         "send it with a deadline, or raise ChannelOptions::capacity_bytes");
    }
    BULKHEAD_TRY(await_room(all, deadline));
  }
  std::size_t at = 0;
  while (at < bytes.size()) {
    auto sent = send_piece(bytes, at, handles, deadline);
    if (sent) continue;
    BULKHEAD_TRY(abort_part(at));
    return sent;
  }
  return {};
}

Result<void> Sender::abort_part(std::size_t done) {
  if (done == 0 || end_ || !binding_->live()) return {};
  if (!in_memory()) {
    packets_.take_back(done);
    return {};
  }
  writer_->add({.size = 0, .flags = RecordHeader::abort | RecordHeader::next});
  return publish();
}

Result<void> Sender::send_part(Bytes bytes, std::span<Handle> handles, std::size_t& done) {
  if (done == 0) {
    BULKHEAD_TRY(prepare(os::no_wait));
    if (in_memory() && bytes.size() <= largest_) return send(bytes, handles, os::no_wait);
    BULKHEAD_TRY(check(bytes.size(), handles, os::no_wait));
    binding_->note_send();
  } else {
    BULKHEAD_TRY(binding_->verdict());  // it may have ended since the last step
  }
  // A message goes on where it began: it moves only before the next.
  if (!in_memory()) {
    BULKHEAD_TRY(send_packets(bytes, handles, done, os::no_wait));
  } else {
    while (done < bytes.size()) BULKHEAD_TRY(send_piece(bytes, done, handles, os::no_wait));
  }
  for (Handle& handle : handles) static_cast<void>(std::move(handle).take_fd());
  return {};
}

Result<void> Sender::send_piece(Bytes whole, std::size_t& at, std::span<const Handle> handles,
                                Deadline deadline) {
  const bool first = at == 0;
  const std::size_t room = writer_->piece_record() - header_bytes - (first ? total_bytes : 0);
  const Bytes part = whole.subspan(at, std::min(room, whole.size() - at));
  const bool last = at + part.size() == whole.size();
  // Behind every piece but the last there is room for the record that takes the message back.
  const std::uint64_t need = record_bytes(part.size() + (first ? total_bytes : 0));
  BULKHEAD_TRY(await_room(need + (last ? 0 : header_bytes), deadline));
  if (first) {
    if (!handles.empty()) BULKHEAD_TRY(send_handles(handles, deadline));
    writer_->add_first_piece(
        RecordHeader::more | (handles.empty() ? RecordHeader::none : RecordHeader::handles),
        whole.size(), part);
  } else {
    writer_->add({.size = static_cast<std::uint32_t>(part.size()),
                  .flags = last ? std::uint32_t{RecordHeader::next}
                                : RecordHeader::next | RecordHeader::more},
                 part);
  }
  at += part.size();
  return publish();
}

Result<void> Sender::send_handles(std::span<const Handle> handles, Deadline deadline) {
  for (;;) {
    auto sent = binding_->control().send_handles(handles);
    if (sent) return {};
    if (sent.error() == ErrorKind::closed) return ended();
    if (sent.error() != ErrorKind::full || deadline == os::no_wait) return sent;
    const auto events = os::poll_one(binding_->control_socket(), POLLOUT, deadline);
    if (!events) return fail(events.error());
    if (*events == 0) return fail(ErrorKind::timed_out);
  }
}

Result<std::size_t> Sender::send_many(std::span<const Bytes> messages, Deadline deadline) {
  std::size_t sent = 0;
  std::size_t added = 0;  // in the ring, and some of it perhaps not visible yet
  const auto show = [&]() -> Result<void> {
    if (added == sent) return {};
    sent = added;
    return publish();
  };
  const auto give_up = [&](Error error) -> Result<std::size_t> {
    const bool later = error == ErrorKind::timed_out || error == ErrorKind::full;
    if (sent == 0 || !later) return fail(std::move(error));
    return sent;
  };
  for (const Bytes message : messages) {
    if (ready_ && binding_->live() && message.size() <= largest_ &&
        writer_->has_room(record_bytes(message.size()))) [[likely]] {
      writer_->add(
          {.size = static_cast<std::uint32_t>(message.size()), .flags = RecordHeader::none},
          message);
      ++added;
      // Visible soon, for a receiver that is awake; whether it sleeps is looked at once, at the end.
      if (added % batch_messages == 0) writer_->publish();
      continue;
    }
    // About to wait, perhaps: nobody may sleep over what was added so far.
    if (auto shown = show(); !shown) return give_up(std::move(shown).error());
    if (auto one = send(message, {}, deadline); !one) return give_up(std::move(one).error());
    sent = ++added;
  }
  if (added != sent) binding_->note_send();
  if (auto shown = show(); !shown) return give_up(std::move(shown).error());
  return sent;
}

Result<MutableBytes> Sender::loan(std::size_t size, Deadline deadline) {
  BULKHEAD_TRY(prepare(deadline));
  BULKHEAD_TRY(check(size, {}, deadline));
  if (size > largest_) {
    return refuse_size(size, "the largest loan", largest_,
                       "raise ChannelOptions::capacity_bytes, or send a copy");
  }
  if (!in_memory()) return lend_aside(size, deadline);
  BULKHEAD_TRY(await_room(record_bytes(size), deadline));
  lent_ = static_cast<std::uint32_t>(size);
  loan_out_ = true;
  ready_ = false;
  return MutableBytes{writer_->payload(), size};
}

Result<MutableBytes> Sender::lend_aside(std::size_t size, Deadline deadline) {
  BULKHEAD_TRY(packets_.await_room(deadline));
  try {
    aside_.clear();
    const auto room = aside_.resize(size);
    lent_aside_ = true;
    loan_out_ = true;
    aside_deadline_ = deadline;
    return room;
  } catch (const std::bad_alloc&) {
    return fail(ErrorKind::exhausted, {.operation = "lend",
                                       .object = std::to_string(size) + " bytes",
                                       .cause = "no memory for them"});
  }
}

Result<void> Sender::commit() {
  if (!loan_out_) return fail(no_loan_is_out());
  const bool aside = lent_aside_;
  abandon();
  if (aside) {
    const Message whole = std::exchange(aside_, {});  // by now it may go through memory
    return send(whole.bytes(), {}, aside_deadline_);
  }
  BULKHEAD_TRY(binding_->verdict());
  binding_->note_send();
  writer_->add({.size = lent_, .flags = RecordHeader::none});
  return publish();
}

void Sender::abandon() noexcept {
  loan_out_ = false;
  lent_aside_ = false;
  ready_ = in_memory();
}

Result<FdView> Sender::writable() {
  if (auto done = prepare(os::no_wait); !done && done.error() != ErrorKind::full) {
    return fail(std::move(done).error());
  }
  const bool first = !binding_->writable();
  const FdView fd = BULKHEAD_TRY(binding_->watch_space());
  if (first && in_memory() && writer_->has_room(record_bytes(largest_))) {
    binding_->writable().nudge();
  }
  return fd;
}

}  // namespace bulkhead::transport::shm

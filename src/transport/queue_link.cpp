// SPDX-License-Identifier: Apache-2.0
#include "transport/queue_link.hpp"

#include <algorithm>
#include <cstring>

namespace bulkhead::transport {
namespace {

using queue_frame::EntrySize;
using queue_frame::Header;
using queue_frame::Type;
using Step = QueueReader::Step;

/// TRUST: a peer can go on sending units that make no message, or ringing for nothing. After so many
/// a call looks at the clock.
constexpr int patience = 256;

std::unexpected<Error> unsupported(const char* cause, const char* remedy) {
  return fail(ErrorKind::unsupported, {.cause = cause, .remedy = remedy});
}

}  // namespace

void QueueLink::has_sizes(std::size_t out_unit, std::size_t out_depth, std::size_t in_unit) {
  if (out_unit != 0) {
    scratch_ = std::make_unique_for_overwrite<std::byte[]>(QueueReader::lead + out_unit);
    at_once_ = out_unit * out_depth - sizeof(Header);
  }
  unit_ = out_unit;
  if (in_unit != 0) reader_.emplace(in_unit, options_);
}

Result<void> QueueLink::expect_sends() const {
  if (unit_ != 0) return {};
  return unsupported("this end only receives", "make the channel both ways");
}

Result<void> QueueLink::expect_receives() const {
  if (reader_ || ended_) return {};
  return unsupported("this end only sends", "make the channel both ways");
}

std::unexpected<Error> QueueLink::gone(Error error) {
  gone_ = error.kind();
  return fail(std::move(error));
}

Result<void> QueueLink::check_send(std::size_t size, std::span<Handle> handles) {
  if (!handles.empty()) {
    return unsupported("a message queue cannot carry handles", "take a unix or shm channel");
  }
  const std::size_t most = std::min(options_.max_message_bytes, queue_frame::most_message);
  if (size > most) {
    return fail(ErrorKind::too_large,
                {.cause = std::to_string(size) + " bytes are more than the channel's maximum of " +
                          std::to_string(most),
                 .remedy = "raise ChannelOptions::max_message_bytes at both ends"});
  }
  BULKHEAD_TRY(bind());
  BULKHEAD_TRY(expect_sends());
  return closed_ ? fail(ErrorKind::closed) : Result<void>{};
}

Bytes QueueLink::build(Type type, std::size_t size, Bytes content) {
  const Header header{.type = static_cast<std::uint8_t>(type),
                      .size = static_cast<std::uint32_t>(size)};
  std::byte* const unit = scratch_.get() + QueueReader::lead;
  std::memcpy(unit, &header, sizeof header);
  if (!content.empty()) std::memcpy(unit + sizeof header, content.data(), content.size());
  return {unit, sizeof header + content.size()};
}

Result<void> QueueLink::put_waiting(Bytes unit, unsigned priority, Deadline deadline) {
  bool armed = false;
  int waits = 0;
  for (bool look = deadline == no_wait;;) {
    if (closed_) return fail(ErrorKind::closed);
    if (const ErrorKind kind = gone_; kind != ErrorKind{}) return fail(kind);
    auto done = put(unit, priority);
    if (done) [[likely]]
      return {};
    if (done.error() != ErrorKind::full) return done;
    if (look) {
      if (auto end = look_for_end()) return gone(*std::move(end));
    }
    if (!armed && arm_room(deadline)) {
      armed = true;
      continue;
    }
    if (deadline == no_wait) return done;
    look = BULKHEAD_TRY(await_room(deadline)) == Woken::by_end;
    armed = false;
    if (++waits % patience == 0 && deadline.expired()) return fail(ErrorKind::timed_out);
  }
}

/// `done` counts bytes that have gone: a call made again goes on from there.
Result<void> QueueLink::send_all(Bytes bytes, unsigned priority, std::size_t& done,
                                 Deadline deadline) {
  const std::size_t first = unit_ - sizeof(Header);
  if (done == 0) {
    const Bytes some = bytes.first(std::min(first, bytes.size()));
    BULKHEAD_TRY(put_waiting(build(Type::message, bytes.size(), some), priority, deadline));
    if (some.size() == bytes.size()) return {};
    done = some.size();
    part_priority_ = priority;
  }
  while (done < bytes.size()) {
    const Bytes some = bytes.subspan(done, std::min(unit_, bytes.size() - done));
    BULKHEAD_TRY(put_waiting(some, priority, deadline));
    done += some.size();
  }
  return {};
}

Result<void> QueueLink::pay_abort(Deadline deadline) {
  if (!abort_owed_) [[likely]]
    return {};
  BULKHEAD_TRY(put_waiting({}, part_priority_, deadline));
  abort_owed_ = false;
  return {};
}

void QueueLink::abort_part(std::size_t done) noexcept {
  if (done == 0) return;
  abort_owed_ = true;  // the queue may be full of what is to be taken back: then the next send pays
  static_cast<void>(pay_abort(no_wait));
}

Result<void> QueueLink::send_at(Bytes bytes, unsigned priority, Deadline deadline) {
  BULKHEAD_TRY(check_send(bytes.size(), {}));
  if (deadline == no_wait && bytes.size() > at_once_) {
    return fail(ErrorKind::too_large,
                {.cause = std::to_string(bytes.size()) + " bytes cannot go without waiting",
                 .remedy = "send with a deadline, or raise the limits of the system's queues"});
  }
  BULKHEAD_TRY(pay_abort(deadline));
  std::size_t done = 0;
  auto sent = send_all(bytes, priority, done, deadline);
  if (!sent) abort_part(done);
  return sent;
}

Result<void> QueueLink::send(Bytes bytes, std::span<Handle> handles, Deadline deadline) {
  if (!handles.empty()) [[unlikely]]
    return check_send(bytes.size(), handles);
  return send_at(bytes, 0, deadline);
}

Result<void> QueueLink::send_urgent(Bytes bytes, unsigned priority, Deadline deadline) {
  return send_at(bytes, std::min(priority, Message::most_priority), deadline);
}

Result<void> QueueLink::send_part(Bytes bytes, std::span<Handle> handles, std::size_t& done) {
  if (!handles.empty()) return check_send(bytes.size(), handles);
  return send_urgent_part(bytes, 0, done);
}

Result<void> QueueLink::send_urgent_part(Bytes bytes, unsigned priority, std::size_t& done) {
  if (done == 0) {
    BULKHEAD_TRY(check_send(bytes.size(), {}));
    BULKHEAD_TRY(pay_abort(no_wait));
  }
  return send_all(bytes, std::min(priority, Message::most_priority), done, no_wait);
}

/// As many of them as one unit holds, which is at least two, in one.
Result<std::size_t> QueueLink::send_batch(std::span<const Bytes> messages, Deadline deadline) {
  std::byte* const unit = scratch_.get() + QueueReader::lead;
  std::size_t size = sizeof(Header);
  std::size_t count = 0;
  for (const Bytes message : messages) {
    const std::size_t needed = sizeof(EntrySize) + message.size();
    if (needed > unit_ - size || message.size() > options_.max_message_bytes) break;
    const auto entry = static_cast<EntrySize>(message.size());
    std::memcpy(unit + size, &entry, sizeof entry);
    if (entry != 0) std::memcpy(unit + size + sizeof entry, message.data(), entry);
    size += needed;
    ++count;
  }
  const Header header{.type = static_cast<std::uint8_t>(Type::batch),
                      .size = static_cast<std::uint32_t>(size - sizeof(Header))};
  std::memcpy(unit, &header, sizeof header);
  BULKHEAD_TRY(put_waiting({unit, size}, 0, deadline));
  return count;
}

Result<std::size_t> QueueLink::send_many(std::span<const Bytes> messages, Deadline deadline) {
  std::size_t sent = 0;
  while (sent < messages.size()) {
    const auto rest = messages.subspan(sent);
    const auto step = [&]() -> Result<std::size_t> {
      BULKHEAD_TRY(check_send(rest[0].size(), {}));
      const std::size_t two = sizeof(Header) + 2 * sizeof(EntrySize) + rest[0].size() +
                              (rest.size() > 1 ? rest[1].size() : unit_);
      if (two <= unit_ && rest[1].size() <= options_.max_message_bytes) {
        BULKHEAD_TRY(pay_abort(deadline));
        return send_batch(rest, deadline);
      }
      BULKHEAD_TRY(send_at(rest[0], 0, deadline));
      return 1;
    }();
    if (!step) {
      const bool later = step.error() == ErrorKind::timed_out || step.error() == ErrorKind::full;
      if (sent == 0 || !later) return step;
      break;
    }
    sent += *step;
  }
  return sent;
}

Result<void> QueueLink::await_room(std::size_t size, Deadline deadline) {
  BULKHEAD_TRY(check_send(size, {}));
  bool armed = false;
  int waits = 0;
  for (bool look = true;;) {
    if (closed_) return fail(ErrorKind::closed);
    if (look) {
      if (auto end = look_for_end()) return gone(*std::move(end));
    }
    if (has_room(size)) return {};
    if (!armed && arm_room(deadline)) {
      armed = true;
      continue;
    }
    if (deadline == no_wait) return fail(ErrorKind::full);
    look = BULKHEAD_TRY(await_room(deadline)) == Woken::by_end;
    armed = false;
    if (++waits % patience == 0 && deadline.expired()) return fail(ErrorKind::timed_out);
  }
}

Error QueueLink::ended(Error error) {
  ended_ = error;
  gone_ = error.kind();
  reader_.reset();
  hang_up();  // a peer that broke the protocol learns of it so; one that has gone does not mind
  return error;
}

/// True when a message was delivered; `empty` when there was no unit.
Result<bool> QueueLink::read_unit(Message& into) {
  const auto unit = take(reader_->room());
  if (!unit) {
    if (unit.error() == ErrorKind::empty) return fail(ErrorKind::empty);
    return fail(ended(unit.error()));
  }
  try {
    const auto step = reader_->take(unit->size, unit->priority, into);
    if (!step) return fail(ended(step.error()));
    return *step == Step::delivered;
  } catch (const std::bad_alloc&) {
    // A part of a message is lost, and with it the order that was promised.
    return fail(ended({ErrorKind::exhausted, {.cause = "no memory for a message that arrived"}}));
  }
}

/// What was sent before the end was found may have come after the queue was found empty: hence one
/// more look at the queue before the end is told.
Result<QueueLink::Woken> QueueLink::after_empty(bool& armed, Deadline deadline) {
  if (seen_end_) return fail(ended(*seen_end_));
  if (look_ || deadline == no_wait) {
    look_ = false;
    seen_end_ = look_for_end();
    if (seen_end_) {
      gone_ = seen_end_->kind();
      return Woken::by_end;
    }
  }
  if (!armed && arm_unit(deadline)) {
    armed = true;
    return Woken::by_queue;
  }
  if (deadline == no_wait) return fail(ErrorKind::empty);
  nap_.slept();
  armed = false;
  const auto woken = BULKHEAD_TRY(await_unit(deadline));
  look_ = woken == Woken::by_end;
  return woken;
}

Result<void> QueueLink::receive(Message& into, Deadline deadline) {
  BULKHEAD_TRY(bind());
  if (closed_) return fail(ErrorKind::closed);
  if (ended_) return fail(*ended_);
  BULKHEAD_TRY(expect_receives());
  if (reader_->next_of_batch(into)) return {};
  const bool waits = deadline != no_wait && nap_.expects();
  bool armed = waits && arm_unit(deadline);
  if (waits && !armed) look_ = BULKHEAD_TRY(await_unit(deadline)) == Woken::by_end;
  for (int steps = 1;; ++steps) {
    if (closed_) return fail(ErrorKind::closed);
    const auto delivered = read_unit(into);
    if (delivered && *delivered) [[likely]]
      return {};
    if (delivered) {
      armed = false;
    } else if (delivered.error() != ErrorKind::empty) {
      return fail(delivered.error());
    } else {
      BULKHEAD_TRY(after_empty(armed, deadline));
    }
    if (steps % patience != 0 || !deadline.expired()) continue;
    return fail(deadline == no_wait ? ErrorKind::empty : ErrorKind::timed_out);
  }
}

}  // namespace bulkhead::transport

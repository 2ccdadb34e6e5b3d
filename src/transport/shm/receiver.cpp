// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/receiver.hpp"

#include <algorithm>
#include <new>
#include <poll.h>
#include <string>
#include <utility>

#include "os/poll.hpp"

namespace bulkhead::transport::shm {
namespace {

/// For back_off(): a pause is 25 to 45 ns, so from 0.1 to about 2 us; batches in bytes.
constexpr int fewest_pauses = 4;
constexpr int most_pauses = 64;
constexpr std::uint64_t small_batch = 16384;
constexpr std::uint64_t large_batch = 65536;

/// After so many packets that make no message a call looks at the clock.
constexpr int patience_with_packets = 256;

std::unexpected<Error> no_memory(std::size_t size) {
  return fail(ErrorKind::exhausted, {.operation = "receive",
                                     .object = std::to_string(size) + " bytes",
                                     .cause = "no memory for them"});
}

bool make_room(Message& message, std::size_t size) noexcept {
  try {
    message.resize(size);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace

Result<bool> Receiver::prepare(Message& into, Deadline deadline) {
  if (view_out_) {
    return fail(ErrorKind::invalid, {.operation = "receive",
                                     .object = "shm channel",
                                     .cause = "a view is out",
                                     .remedy = "drop it first"});
  }
  BULKHEAD_TRY(binding_->meet(deadline));
  largest_ = binding_->options().max_message_bytes;
  if (early_) {
    into = *std::exchange(early_, std::nullopt);
    return true;
  }
  if (!reader_ && BULKHEAD_TRY(receive_packet(into, deadline))) return true;
  ready_ = true;
  return false;
}

Result<bool> Receiver::receive_packet(Message& into, Deadline deadline) {
  if (!room_) room_.reset(new (std::nothrow) std::uint64_t[longest_record_packet / 8 + 1]);
  if (!room_) return no_memory(longest_record_packet);
  const MutableBytes room{reinterpret_cast<std::byte*>(room_.get()), longest_record_packet};
  const std::uint32_t handles = most_handles(binding_->options().trust);
  for (int packets = 1;; ++packets) {
    auto arrival = binding_->control().receive_arrival(room, handles);
    if (arrival && arrival->moved) {
      BULKHEAD_TRY(enter_ring());
      return false;
    }
    if (arrival) {
      auto whole = join(arrival->header, arrival->payload, &arrival->handles);
      if (!whole) return ended_on_socket(std::move(whole).error());
      if (*whole) {
        std::swap(into, partial_);  // both keep their memory
        partial_.clear();
        return true;
      }
      // TRUST: a peer can go on with packets that make no message.
      if (packets % patience_with_packets != 0 || !deadline.expired()) continue;
      return fail(deadline == os::no_wait ? ErrorKind::empty : ErrorKind::timed_out);
    }
    if (arrival.error() != ErrorKind::empty) return ended_on_socket(std::move(arrival).error());
    if (deadline == os::no_wait) {
      if (const Outside& outside = binding_->readable(); outside) outside.quiet();
      return fail(ErrorKind::empty);
    }
    const auto events = os::poll_one(binding_->control_socket(), POLLIN | POLLRDHUP, deadline);
    if (!events) return fail(events.error());
    if (*events == 0) return fail(ErrorKind::timed_out);
  }
}

Result<void> Receiver::enter_ring() {
  if (partial_ongoing_) return lied("a part of a message, and moved");
  BULKHEAD_TRY(binding_->enter_ring());
  reader_.emplace(binding_->peer(), binding_->own().words(), binding_->space_bell(),
                  binding_->setup().first_cursor);
  sleeper_.emplace(Sleeper::For::data, binding_->own().words(), PeerWords{binding_->peer().words()},
                   binding_->data_watch(), binding_->data_wakes(), binding_->control_socket(),
                   binding_->place());
  room_.reset();
  return {};
}

/// What could not be received is gone, and with it the order that was promised.
std::unexpected<Error> Receiver::ended_on_socket(Error error) {
  if (error == ErrorKind::peer_died && binding_->peer_said_closed()) {
    return binding_->end(Error{ErrorKind::closed});
  }
  return binding_->end(std::move(error));
}

void Receiver::leave_alone() noexcept {
  const std::uint32_t sends = binding_->sends();
  streaming_ = sends == std::exchange(sends_, sends);
  const auto taken = reader_->take_stock();
  if (!streaming_) return;
  // Each look at the tail takes its line from the sender, who waits for it with the next message; a
  // receiver that is the quicker of the two then looks for every few. So it looks again only after
  // a time in which about as much has been sent as it has just taken, and no more than that.
  const auto pauses = std::min<std::uint64_t>(most_pauses, taken.records / 2 + taken.bytes / 1024);
  for (std::uint64_t i = 0; i < pauses; ++i) relax();
}

void Receiver::back_off() noexcept {
  // A receiver that has caught up with a stream fights the sender for the lines of every message.
  // A little later there is more to take at once; how much later is learned: long enough for a
  // batch, and short as soon as nothing comes meanwhile.
  if (!streaming_) return;
  for (int i = 0; i < pauses_; ++i) relax();
  if (!reader_->has_news() || reader_->backlog() > large_batch) {
    pauses_ = std::max(pauses_ / 2, fewest_pauses);
  } else if (reader_->backlog() < small_batch) {
    pauses_ = std::min(pauses_ * 2, most_pauses);
  }
}

Result<void> Receiver::await_news(Deadline deadline) {
  if (deadline == os::no_wait) return no_news_now();
  back_off();
  const auto ready = [this] { return reader_->has_news(); };
  switch (sleeper_->wait(ready, [this] { give_back(); }, deadline)) {
    case Wake::ready:
      return {};
    case Wake::timed_out:
      return fail(ErrorKind::timed_out);
    case Wake::hung_up:
      break;
  }
  return ended();
}

Result<void> Receiver::no_news_now() {
  give_back();
  if (const Outside& outside = binding_->readable(); outside) {
    outside.quiet();
    sleeper_->arm_for_outside();
    if (reader_->has_news()) return {};
  }
  if (!sleeper_->hung_up()) return fail(ErrorKind::empty);
  // What was published before the end comes before the end.
  if (reader_->has_news()) return {};
  return ended();
}

std::unexpected<Error> Receiver::ended() {
  return binding_->end(Error{reader_->peer_closed() ? ErrorKind::closed : ErrorKind::peer_died});
}

std::unexpected<Error> Receiver::lied(const char* how) {
  return binding_->end({ErrorKind::corrupt, {.cause = std::string{"the peer sent "} + how}});
}

Result<void> Receiver::take(const RingReader::Record& record, Message& into) {
  const std::uint32_t size = record.header.size;
  into.clear();
  if (!make_room(into, size)) return no_memory(size);
  copy_bytes(const_cast<std::byte*>(into.bytes().data()), record.payload, size);
  if (reader_->consume(size)) give_back();
  return {};
}

Result<void> Receiver::take_special(Message& into, Deadline deadline) {
  // TRUST: a peer can go on publishing pieces of nothing. Past its deadline a call takes no more
  // than a ring can hold.
  const std::uint64_t ringful = reader_->capacity() / header_bytes;
  for (std::uint64_t parts = 1; !BULKHEAD_TRY(take_part()); ++parts) {
    if (!reader_->has_news()) {
      BULKHEAD_TRY(await_news(deadline));
    } else if (parts % ringful == 0 && deadline.expired()) {
      if (deadline != os::no_wait) return fail(ErrorKind::timed_out);
      binding_->readable().nudge();  // who waits outside is to call again
      return fail(ErrorKind::empty);
    }
  }
  std::swap(into, partial_);  // both keep their memory
  partial_.clear();
  return {};
}

Result<bool> Receiver::take_part() {
  const auto record = reader_->record();
  if (reader_->lied_to()) return lied("an impossible record or cursor");
  const bool whole =
      BULKHEAD_TRY(join(record.header, Bytes{record.payload, record.header.size}, nullptr));
  if (reader_->consume(record.header.size)) give_back();
  return whole;
}

Result<bool> Receiver::join(RecordHeader header, Bytes part, std::vector<Handle>* beside) {
  const std::uint32_t flags = header.flags;
  const bool continues = (flags & RecordHeader::next) != 0;
  if ((flags & ~std::uint32_t{RecordHeader::all_flags}) != 0) return lied("an impossible record");
  if (continues != partial_ongoing_) {
    // A message that was taken back leaves none to continue; anything else is a lie.
    return lied(continues ? "a piece of no message" : "a message inside another");
  }
  if (continues && (flags & RecordHeader::handles) != 0) return lied("handles in a later piece");
  if ((flags & RecordHeader::abort) != 0) {
    if (flags != (RecordHeader::abort | RecordHeader::next) || header.size != 0) {
      return lied("an impossible end of a message");
    }
    partial_ongoing_ = false;
    partial_.clear();
    return false;
  }
  if (!continues) BULKHEAD_TRY(begin(flags, part, beside));
  BULKHEAD_TRY(append(part));
  const bool more = (flags & RecordHeader::more) != 0;
  if (!more && arrived_ != total_) return lied("less than it announced");
  if (!more) partial_ongoing_ = false;
  return !more;
}

Result<void> Receiver::begin(std::uint32_t flags, Bytes& part, std::vector<Handle>* beside) {
  total_ = part.size();
  if ((flags & RecordHeader::more) != 0) {
    if (part.size() < total_bytes) return lied("a piece without a total");
    total_ = load_total(part.data());
    part = part.subspan(total_bytes);
  }
  if (total_ > binding_->options().max_message_bytes) {
    return lied("a message larger than ChannelOptions::max_message_bytes");
  }
  arrived_ = 0;
  partial_.clear();
  // TRUST: an equal peer's total is believed as a hint, within our maximum; from others memory is
  // taken only for what has come.
  const bool believed = binding_->options().trust == Trust::equal;
  if (!make_room(partial_, believed ? total_ : part.size())) return no_memory(total_);
  if ((flags & RecordHeader::handles) == 0) return {};
  if (beside != nullptr) {
    partial_.handles() = std::move(*beside);
    return {};
  }
  auto handles = binding_->control().receive_handles(most_handles(binding_->options().trust));
  if (!handles) return binding_->end(std::move(handles).error());
  partial_.handles() = *std::move(handles);
  return {};
}

Result<void> Receiver::append(Bytes part) {
  if (part.size() > total_ - arrived_) return lied("more than it announced");
  if (partial_.size() < arrived_ + part.size() && !make_room(partial_, arrived_ + part.size())) {
    return no_memory(arrived_ + part.size());
  }
  copy_bytes(const_cast<std::byte*>(partial_.bytes().data()) + arrived_, part.data(), part.size());
  arrived_ += part.size();
  partial_ongoing_ = true;
  return {};
}

Result<std::optional<Bytes>> Receiver::view(Deadline deadline) {
  if (binding_->options().trust != Trust::equal) return std::nullopt;
  if (!ready_ || !binding_->live()) {
    if (early_) return std::nullopt;
    Message arrived;
    if (BULKHEAD_TRY(prepare(arrived, deadline))) {
      early_ = std::move(arrived);
      return std::nullopt;
    }
  }
  if (reader_->caught_up()) leave_alone();
  if (!reader_->has_news()) BULKHEAD_TRY(await_news(deadline));
  const auto record = reader_->record();
  if (record.header.flags != RecordHeader::none || record.header.size > largest_ ||
      partial_ongoing_) {
    return std::nullopt;
  }
  viewed_ = record.header.size;
  view_out_ = true;
  ready_ = false;
  return Bytes{record.payload, viewed_};
}

void Receiver::release() noexcept {
  if (!view_out_) return;
  view_out_ = false;
  ready_ = true;
  if (reader_->consume(viewed_)) give_back();
}

Result<FdView> Receiver::readable() {
  BULKHEAD_TRY(binding_->bind());
  const bool first = !binding_->readable();
  const FdView fd = BULKHEAD_TRY(binding_->watch_data());
  if (!first) return fd;
  if (early_) binding_->readable().nudge();
  if (!reader_) return fd;  // what comes over the socket makes it readable, `moved` too
  // From now on a publication rings: arm, and look at what came before.
  if (reader_->has_news() || no_news_now()) binding_->readable().nudge();
  return fd;
}

}  // namespace bulkhead::transport::shm

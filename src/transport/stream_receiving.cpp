// SPDX-License-Identifier: Apache-2.0
//
// What StreamLink makes of the bytes that arrive: STATE and LAYOUT of stream_frame.hpp. Everything
// here runs with the receiving half locked.
#include <algorithm>
#include <cstring>

#include "os/syscall.hpp"
#include "transport/stream_link.hpp"
#include "transport/wrong_peer.hpp"

namespace bulkhead::transport {

using stream_frame::Header;
using stream_frame::Hello;
using stream_frame::Type;
using stream_frame::Verdict;

namespace {

/// A delivered message of this size leaves its memory to the next one.
constexpr std::size_t kept_memory = 1 << 20;

constexpr std::size_t around = sizeof(Header) + sizeof(Verdict);

iovec part(void* data, std::size_t size) { return {data, size}; }

}  // namespace

/// Something to say without asking the kernel.
bool StreamLink::has_more() const noexcept {
  const std::size_t least = in_frame_ ? 1 : sizeof(Header);
  return ended_ || !early_.empty() || to_ - from_ >= least;
}

Result<StreamLink::Step> StreamLink::step(Message& into) {
  try {
    auto next = step_on(into);
    if (next || ended_ || next.error() == ErrorKind::empty) return next;
    return end(std::move(next).error());
  } catch (const std::bad_alloc&) {
    // A part of a message is lost, and with it the order that was promised.
    return end({ErrorKind::exhausted, {.cause = "no memory for a message that arrived"}});
  }
}

Result<StreamLink::Step> StreamLink::step_on(Message& into) {
  const std::size_t there = to_ - from_;
  if (!in_frame_ && there >= sizeof(Header)) return take_frame(into);
  if (in_frame_ && there > 0) {
    if (payload_left_ == 0) return take_verdict(into);
    BULKHEAD_TRY(take_payload());
    return Step::more;
  }
  BULKHEAD_TRY(fill());
  return Step::more;
}

/// Reads what there is: the payload under way to where it belongs, the rest into the buffer.
Result<void> StreamLink::fill() {
  if (!buffer_) buffer_ = std::make_unique_for_overwrite<std::byte[]>(buffer_bytes);
  const std::size_t kept = to_ - from_;
  if (kept > 0 && from_ > 0) std::memmove(buffer_.get(), buffer_.get() + from_, kept);
  from_ = 0;
  to_ = kept;
  const std::size_t before = partial_.size();
  // Room grows with what has arrived.
  const std::size_t direct =
      in_frame_ ? std::min(payload_left_, std::max(before, buffer_bytes)) : 0;
  const auto room = partial_.resize(before + direct).subspan(before);
  const std::array parts{part(room.data(), room.size()),
                         part(buffer_.get() + to_, buffer_bytes - to_)};
  const auto got = os::retry_eintr(
      [&] { return read_some(in(), std::span{parts}.subspan(direct > 0 ? 0 : 1)); });
  const int number = got < 0 ? errno : 0;
  const std::size_t size = got > 0 ? static_cast<std::size_t>(got) : 0;
  const std::size_t payload = std::min(size, direct);
  partial_.resize(before + payload);
  payload_left_ -= payload;
  to_ += size - payload;
  if (got > 0) [[likely]] {
    note_arrival();
    return {};
  }
  if (number == EAGAIN) return fail(ErrorKind::empty);
  return fail(why_broken(number));
}

Result<StreamLink::Step> StreamLink::take_frame(Message& into) {
  Header header;
  std::memcpy(static_cast<void*>(&header), buffered().data(), sizeof header);
  const std::size_t size = header.payload();
  if ((header.zero[0] | header.zero[1] | header.zero[2]) != 0) return lie("a damaged header");
  if (header.type == Type::data) return take_data(size, into);
  if (size > stream_frame::most_control) return lie("too long a frame");
  if (buffered().size() < sizeof header + size) {
    BULKHEAD_TRY(fill());
    return Step::more;
  }
  const Bytes payload = buffered().subspan(sizeof header, size);
  from_ += sizeof header + size;
  BULKHEAD_TRY(take_control(header.type, payload));
  return Step::more;
}

Result<StreamLink::Step> StreamLink::take_data(std::size_t size, Message& into) {
  if (!greeted_) return lie("no hello");
  if (size > stream_frame::most_payload) return lie("too long a frame");
  if (size > options_.max_message_bytes - partial_.size()) {
    return lie("a message is larger than this channel's maximum");
  }
  const Bytes frame = buffered();
  if (partial_.empty() && frame.size() >= around + size &&
      frame[around + size - 1] == static_cast<std::byte>(Verdict::last)) {
    into.clear();
    const auto room = into.resize(size);
    if (size > 0) std::memcpy(room.data(), frame.data() + sizeof(Header), size);
    from_ += around + size;
    return Step::delivered;
  }
  from_ += sizeof(Header);
  in_frame_ = true;
  payload_left_ = size;
  return Step::more;
}

Result<void> StreamLink::take_payload() {
  const std::size_t size = std::min(payload_left_, to_ - from_);
  const std::size_t before = partial_.size();
  std::memcpy(partial_.resize(before + size).data() + before, buffered().data(), size);
  from_ += size;
  payload_left_ -= size;
  return {};
}

Result<StreamLink::Step> StreamLink::take_verdict(Message& into) {
  const auto verdict = static_cast<Verdict>(buffered().front());
  ++from_;
  in_frame_ = false;
  switch (verdict) {
    case Verdict::more:
      return Step::more;
    case Verdict::last:
      into.clear();
      std::swap(into, partial_);
      if (into.size() > kept_memory) partial_ = {};
      partial_.clear();
      return Step::delivered;
    case Verdict::take_back:
      partial_.clear();
      return Step::more;
  }
  return lie("an unknown verdict");
}

Result<void> StreamLink::take_control(Type type, Bytes payload) {
  if (type == Type::close) return fail(ErrorKind::closed);
  if (!greeted_) {
    if (type == Type::hello) return take_hello(payload);
    if (type == Type::refused) {
      return fail(ErrorKind::denied, {.cause = "the listener does not let this client in"});
    }
    return lie("no hello");
  }
  if (type == Type::ping) return {};
  return lie("an unknown frame");
}

Result<void> StreamLink::take_hello(Bytes payload) {
  Hello theirs;
  // Of another version's hello only the part that all versions share is looked at.
  if (payload.size() < offsetof(Hello, spare)) return lie("a hello that is too short");
  std::memcpy(static_cast<void*>(&theirs), payload.data(), std::min(payload.size(), sizeof theirs));
  if (theirs.magic != Hello{}.magic) return lie("the hello of something else");
  const auto version = stream_frame::little(theirs.version);
  const auto ours = stream_frame::little(Hello{}.version);
  if (version != ours) {
    return other_version(version, ours);
  }
  if (payload.size() != sizeof theirs) return lie("a hello of the wrong size");
  greeted_ = true;
  return {};
}

}  // namespace bulkhead::transport

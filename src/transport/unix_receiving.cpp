// SPDX-License-Identifier: Apache-2.0
//
// What UnixLink makes of the packets that arrive: STATE and LAYOUT of unix_frame.hpp. Everything
// here runs with the receiving half locked.
#include <algorithm>
#include <array>
#include <cstring>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "os/syscall.hpp"
#include "transport/unix_link.hpp"
#include "transport/wrong_peer.hpp"

namespace bulkhead::transport {

using unix_frame::EntrySize;
using unix_frame::Header;
using unix_frame::Hello;
using unix_frame::Tag;
using unix_frame::Type;

namespace {

/// TRUST: a peer can go on sending packets that make no message. After so many a call looks at the
/// clock, or whether they can ever end.
constexpr int patience = 256;

/// Room for the payload of the largest packet and its tags.
constexpr std::size_t scratch_bytes = unix_frame::most_payload + os::max_packet_fds * sizeof(Tag);

iovec part(void* data, std::size_t size) { return {data, size}; }

}  // namespace

/// The peer sends nothing any more. The kernel refuses our packets a moment before it tells.
bool UnixLink::has_hung_up() const {
  const auto events = os::poll_one(socket_, POLLRDHUP, std::chrono::milliseconds{1});
  return !events || *events != 0;
}

/// The peer takes nothing any more: why is behind what it had sent before. That is read now, kept
/// for the receiver, and never more than the socket held.
Error UnixLink::why_ended() {
  if (closed_) return Error{ErrorKind::closed};
  const std::lock_guard guard{reading_};
  for (int steps = 1; !ended_; ++steps) {
    keep_batch();
    Message message;
    auto step = read_packet(message);
    if (step && *step == Step::delivered) early_.push_back(std::move(message));
    // It has only shut its receiving side, and may send for ever.
    const bool may_go_on = step ? steps % patience == 0 : step.error() == ErrorKind::empty;
    if (!may_go_on || has_hung_up()) continue;
    if (early_.empty()) return Error{ErrorKind::closed};
    // What was kept is not to grow with every send, and who polls is to hear of it.
    static_cast<void>(end(Error{ErrorKind::closed}));
  }
  return *ended_;
}

Result<void> UnixLink::receive(Message& into, Deadline deadline) {
  BULKHEAD_TRY(bind());
  for (int steps = 1;; ++steps) {
    {
      const std::lock_guard guard{reading_};
      if (closed_) return fail(ErrorKind::closed);
      if (!early_.empty()) {
        into = std::move(early_.front());
        early_.pop_front();
        return {};
      }
      if (!batch_.empty()) {
        next_of_batch(into);
        return {};
      }
      const bool waits = steps == 1 && deadline != no_wait && !ended_ && nap_.expects();
      auto step = ended_  ? Result<Step>{fail(*ended_)}
                  : waits ? Result<Step>{fail(ErrorKind::empty)}
                          : read_packet(into);
      if (step && *step == Step::delivered) [[likely]]
        return {};
      if (step) {
        if (steps % patience != 0 || !deadline.expired()) continue;
        return fail(deadline == no_wait ? ErrorKind::empty : ErrorKind::timed_out);
      }
      if (closed_) return fail(ErrorKind::closed);
      if (step.error() != ErrorKind::empty) return fail(std::move(step).error());
      if (!waits) nap_.slept();
    }
    if (deadline == no_wait) return fail(ErrorKind::empty);
    if (BULKHEAD_TRY(os::poll_one(socket_, POLLIN, deadline)) == 0) {
      return fail(ErrorKind::timed_out);
    }
  }
}

std::unexpected<Error> UnixLink::end(Error error) {
  ended_ = error;
  partial_ = {};
  gathered_.clear();
  // A peer that broke the protocol learns by the hang-up; one that has gone does not mind.
  if (owner_ == ::getpid()) ::shutdown(socket_.native(), SHUT_RDWR);
  return fail(std::move(error));
}

Result<UnixLink::Step> UnixLink::read_packet(Message& into) {
  if (!scratch_) scratch_ = std::make_unique_for_overwrite<std::byte[]>(scratch_bytes);
  Header header;
  into.clear();
  // The start of a message goes where it belongs at once, the rest of a longer one by the scratch.
  const auto start = into.resize(Message::inline_bytes);
  std::byte* const more = scratch_.get() + start.size();
  const std::array parts{part(&header, sizeof header), part(start.data(), start.size()),
                         part(more, scratch_bytes - start.size())};
  auto packet = os::receive_packet(socket_, parts, os::max_packet_fds);
  // A reset is told before what had arrived, and once; the end of the stream after it, for ever.
  if (packet && packet->closed) packet = os::receive_packet(socket_, parts, os::max_packet_fds);
  if (!packet) {
    into.clear();
    if (packet.error() == ErrorKind::empty) return fail(ErrorKind::empty);
    return end(std::move(packet).error());
  }
  if (packet->closed) return end(Error{ErrorKind::peer_died});
  if (packet->size < sizeof header) return end(lie("a packet without a header").error());
  const std::size_t body = packet->size - sizeof header;
  if (body != header.payload + header.handles * sizeof(Tag) ||
      header.payload > unix_frame::most_payload || packet->fds.size() != header.handles) {
    return end(lie("a packet's header does not fit its content").error());
  }
  if (header.type == static_cast<std::uint8_t>(Type::batch)) {
    std::memcpy(scratch_.get(), start.data(), std::min(body, start.size()));
    if (auto taken = take_batch(header, body); !taken) return end(std::move(taken).error());
    return next_of_batch(into);
  }
  try {
    const auto whole = into.resize(body);
    if (body > start.size()) {
      std::memcpy(whole.data() + start.size(), more, body - start.size());
    }
    auto step = take(header, into, whole, std::move(packet->fds));
    if (!step && !ended_) return end(std::move(step).error());
    return step;
  } catch (const std::bad_alloc&) {
    // A part of a message is lost, and with it the order that was promised.
    return end({ErrorKind::exhausted, {.cause = "no memory for a message that arrived"}});
  }
}

Result<UnixLink::Step> UnixLink::take(const Header& header, Message& into,
                                      std::span<std::byte> body, std::vector<Fd> fds) {
  const auto payload = body.first(header.payload);
  const auto type = static_cast<Type>(header.type);
  if (type == Type::close) return end(Error{ErrorKind::closed});
  if (!greeted_) {
    if (type == Type::hello) return take_hello(payload);
    if (type == Type::refused) {
      return fail(ErrorKind::denied, {.cause = "the listener does not let this user in"});
    }
    return lie("no hello");
  }
  if (in_pieces_ && type != Type::piece && type != Type::abort) return lie("a piece is missing");
  BULKHEAD_TRY(take_handles(body.subspan(header.payload), std::move(fds)));
  switch (type) {
    case Type::whole:
      into.resize(payload.size());
      BULKHEAD_TRY(take_message(into));
      return Step::delivered;
    case Type::piece: {
      const std::size_t before = partial_.size();
      if (payload.size() > options_.max_message_bytes - before) {
        return lie("a message is larger than this channel's maximum");
      }
      in_pieces_ = true;
      if (!payload.empty()) {
        std::memcpy(partial_.resize(before + payload.size()).data() + before, payload.data(),
                    payload.size());
      }
      if (header.last == 0) return Step::more;
      in_pieces_ = false;
      into = std::move(partial_);
      BULKHEAD_TRY(take_message(into));
      return Step::delivered;
    }
    case Type::handles:
      return Step::more;
    case Type::abort:
      in_pieces_ = false;
      partial_ = {};
      gathered_.clear();
      return Step::more;
    default:
      return lie("an unknown packet");
  }
}

Result<UnixLink::Step> UnixLink::take_hello(std::span<const std::byte> payload) {
  Hello theirs;
  // Of another version's hello only the part that all versions share is looked at.
  if (payload.size() < offsetof(Hello, most_handles)) return lie("a hello that is too short");
  std::memcpy(static_cast<void*>(&theirs), payload.data(), std::min(payload.size(), sizeof theirs));
  if (theirs.magic != Hello{}.magic) return lie("the hello of something else");
  if (theirs.version != Hello{}.version) {
    return other_version(theirs.version, Hello{}.version);
  }
  if (payload.size() != sizeof theirs) return lie("a hello of the wrong size");
  peer_takes_ = theirs.most_handles;
  greeted_ = true;
  return Step::more;
}

Result<void> UnixLink::take_handles(std::span<const std::byte> tags, std::vector<Fd> fds) {
  if (fds.empty()) return {};
  if (gathered_.size() + fds.size() > unix_frame::most_handles(options_.trust)) {
    return lie("too many handles");
  }
  for (std::size_t i = 0; i < fds.size(); ++i) {
    const auto kind = static_cast<std::uint8_t>(tags[i * sizeof(Tag)]);
    const auto mechanism = static_cast<std::uint8_t>(tags[i * sizeof(Tag) + 1]);
    if (kind > static_cast<std::uint8_t>(Handle::Kind::shared_region)) {
      return lie("an unknown handle");
    }
    gathered_.emplace_back(std::move(fds[i]), static_cast<Handle::Kind>(kind), mechanism);
  }
  return {};
}

Result<void> UnixLink::take_message(Message& into) {
  if (into.size() > options_.max_message_bytes) {
    return lie("a message is larger than this channel's maximum");
  }
  if (!gathered_.empty()) {
    into.handles() = std::move(gathered_);
    gathered_.clear();
  }
  return {};
}

/// TRUST: all of it is judged before any of it is delivered, in memory of this process.
Result<void> UnixLink::take_batch(const Header& header, std::size_t body) {
  const std::span<const std::byte> all{scratch_.get(), body};
  if (!greeted_) return lie("no hello");
  if (in_pieces_ || !gathered_.empty()) return lie("a piece is missing");
  if (header.handles != 0) return lie("a batch with handles");
  auto rest = all;
  do {
    EntrySize size = 0;
    if (rest.size() < sizeof size) return lie("a batch that is none");
    std::memcpy(&size, rest.data(), sizeof size);
    rest = rest.subspan(sizeof size);
    if (size > rest.size()) return lie("a batch that is none");
    if (size > options_.max_message_bytes) {
      return lie("a message is larger than this channel's maximum");
    }
    rest = rest.subspan(size);
  } while (!rest.empty());
  batch_ = all;
  return {};
}

/// Without memory for it nothing is lost: it is there for the next call.
UnixLink::Step UnixLink::next_of_batch(Message& into) {
  EntrySize size = 0;
  std::memcpy(&size, batch_.data(), sizeof size);
  into.clear();
  if (size > 0) std::memcpy(into.resize(size).data(), batch_.data() + sizeof size, size);
  batch_ = batch_.subspan(sizeof size + size);
  more_.set(!batch_.empty());
  return Step::delivered;
}

/// Before the next packet is read: it comes into the scratch.
void UnixLink::keep_batch() {
  while (!batch_.empty()) {
    early_.emplace_back();
    try {
      next_of_batch(early_.back());
    } catch (...) {
      early_.pop_back();
      throw;
    }
  }
}

Result<FdView> UnixLink::readable() {
  BULKHEAD_TRY(bind());
  const std::lock_guard guard{reading_};
  if (readable_) return readable_.view();
  BULKHEAD_TRY(more_.open());
  Fd epoll = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
  if (!epoll || ::epoll_ctl(epoll.native(), EPOLL_CTL_ADD, socket_.native(), &event) != 0 ||
      ::epoll_ctl(epoll.native(), EPOLL_CTL_ADD, more_.view().native(), &event) != 0) {
    return os::failed("watch", "socket");
  }
  readable_ = std::move(epoll);
  return readable_.view();
}

}  // namespace bulkhead::transport

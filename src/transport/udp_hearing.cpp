// SPDX-License-Identifier: Apache-2.0
#include "transport/udp_hearing.hpp"

#include <algorithm>

#include "transport/wrong_peer.hpp"

namespace bulkhead::transport {

using udp_frame::Header;
using udp_frame::Type;

namespace {

void add(Losses& sum, const Losses& more) noexcept {
  sum.lost += more.lost;
  sum.reordered += more.reordered;
  sum.duplicated += more.duplicated;
}

}  // namespace

/// The number nearest to what is due that has these last 32 bits.
std::uint64_t Tally::widen(std::uint32_t number) const noexcept {
  const auto ahead = static_cast<std::int32_t>(number - static_cast<std::uint32_t>(due_));
  return due_ + static_cast<std::uint64_t>(static_cast<std::int64_t>(ahead));
}

void Tally::skip_to(std::uint64_t number) noexcept {
  losses_.lost += number - due_;
  if (number - due_ >= window) {
    came_.reset();
  } else {
    for (std::uint64_t gap = due_; gap < number; ++gap) came_.reset(gap % window);
  }
  due_ = number;
}

bool Tally::arrived(std::uint32_t number) noexcept {
  const std::uint64_t wide = widen(number);
  if (wide >= due_) {
    if (wide > due_) skip_to(wide);
    came_.set(wide % window);
    ++due_;
    return true;
  }
  const bool was_missed = due_ - wide <= window && !came_.test(wide % window);
  if (!was_missed) {
    ++losses_.duplicated;
    return false;
  }
  came_.set(wide % window);
  --losses_.lost;
  ++losses_.reordered;
  return true;
}

void Tally::ended(std::uint32_t count) noexcept {
  const std::uint64_t wide = widen(count);
  if (wide > due_) skip_to(wide);
}

Losses UdpHearing::losses() const noexcept {
  Losses sum = forgotten_;
  add(sum, tally_.losses());
  for (const Sender& sender : senders_) add(sum, sender.tally.losses());
  return sum;
}

UdpHearing::Verdict UdpHearing::end(Error error) {
  error_ = std::move(error);
  return Verdict::ended;
}

UdpHearing::Verdict UdpHearing::hear(Bytes datagram) {
  if (error_) return Verdict::ended;
  const auto header = udp_frame::unpack(datagram);
  if (!header) return Verdict::ignore;
  if (role_ == Role::group) return hear_group(*header);
  if (header->session != session_) return Verdict::ignore;
  if (header->version != udp_frame::version)
    return end(other_version(header->version, udp_frame::version).error());
  switch (header->type) {
    case Type::data:
      greeted_ = true;
      return tally_.arrived(header->sequence) ? Verdict::deliver : Verdict::ignore;
    case Type::close:
      tally_.ended(header->sequence);
      return end(Error{ErrorKind::closed});
    case Type::hello:
      if (role_ == Role::server) return Verdict::welcome;
      break;
    case Type::welcome:
      if (role_ != Role::client) break;
      greeted_ = true;
      return Verdict::ignore;
    case Type::challenge:
      if (role_ != Role::client) break;
      if (const auto cookie = udp_frame::cookie_of(datagram)) {
        cookie_ = *cookie;
        return greeted_ ? Verdict::ignore : Verdict::greet_again;
      }
      break;
    case Type::unknown:
      if (role_ != Role::client) break;
      return hear_unknown();
    case Type::refused:
      if (role_ != Role::client) break;
      return end(Error{ErrorKind::closed, {.cause = "the listener took nobody in any more"}});
  }
  return end(lie("an unknown datagram").error());
}

UdpHearing::Verdict UdpHearing::hear_unknown() {
  // Our hello was lost, or overtaken by our first message.
  if (!greeted_) return Verdict::greet_again;
  return end({ErrorKind::peer_died,
              {.cause = "who is at the peer's address does not know this channel any more"}});
}

UdpHearing::Verdict UdpHearing::hear_group(const Header& header) {
  if (header.version != udp_frame::version || header.type != Type::data) return Verdict::ignore;
  auto sender = std::ranges::find(senders_, header.session, &Sender::session);
  if (sender == senders_.end()) {
    if (senders_.size() < most_senders) {
      sender = senders_.insert(senders_.end(), Sender{});
    } else {
      sender = std::ranges::min_element(senders_, {}, &Sender::last_heard);
      add(forgotten_, sender->tally.losses());
      *sender = {};
    }
    sender->session = header.session;
    sender->tally.begin_at(header.sequence);
  }
  sender->last_heard = ++heard_;
  return sender->tally.arrived(header.sequence) ? Verdict::deliver : Verdict::ignore;
}

}  // namespace bulkhead::transport

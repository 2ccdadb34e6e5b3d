// SPDX-License-Identifier: Apache-2.0
#include <stdexcept>
#include <unistd.h>

#include <bulkhead/channel.hpp>

#include "channel/channel_state.hpp"

namespace bulkhead {
namespace {

using detail::ChannelState;
using os::no_wait;

/// Out of line: what succeeds pays for none of it.
[[gnu::noinline, gnu::cold]] std::unexpected<Error> told(ChannelState& state, Error error,
                                                         std::string_view operation,
                                                         Deadline deadline) {
  return fail(state.explain(std::move(error), operation, deadline));
}

template <class T>
Result<T> tell(ChannelState& state, Result<T> result, std::string_view operation,
               Deadline deadline) {
  if (result) [[likely]]
    return result;
  return told(state, std::move(result).error(), operation, deadline);
}

/// Memory that runs out in the middle of a call is an error like others.
template <class Call> auto guarded(Call&& call) -> decltype(call()) {
#if __cpp_exceptions
  try {
    return call();
  } catch (const std::bad_alloc&) {
    return fail(ErrorKind::exhausted, {.cause = "out of memory"});
  } catch (const std::length_error&) {
    return fail(ErrorKind::too_large, {.cause = "larger than a container can hold"});
  }
#else
  return call();
#endif
}

Result<void> check_urgent(const Message& message) {
  if (message.handles().empty()) return {};
  return fail(ErrorKind::unsupported, {.cause = "handles and a priority in one message"});
}

/// Whoever gets a SharedRegion can write what this process believes: equals only.
Result<void> check_handles(const Message& message, Trust trust) {
  if (trust == Trust::equal) return {};
  for (const Handle& handle : message.handles()) {
    if (handle.kind() != Handle::Kind::shared_region) continue;
    return fail(ErrorKind::denied, {.cause = "a SharedRegion for a peer that is not trusted",
                                    .remedy = "publish or freeze a Region and send that"});
  }
  return {};
}

}  // namespace

Loan::~Loan() {
  if (state_ != nullptr) state_->link->abandon();
}

View::View(View&& other) noexcept
    : state_(std::exchange(other.state_, nullptr)),
      copy_(std::move(other.copy_)),
      bytes_(state_ != nullptr ? other.bytes_ : copy_.bytes()) {}

View::~View() {
  if (state_ != nullptr) state_->link->release();
}

Channel::Channel(std::shared_ptr<detail::ChannelState> state) noexcept : state_(std::move(state)) {}
Channel::Channel(Channel&&) noexcept = default;

Channel& Channel::operator=(Channel&& other) noexcept {
  if (this == &other) return *this;
  if (state_) state_->close();
  state_ = std::move(other.state_);
  return *this;
}

Channel::~Channel() {
  if (state_) state_->close();
}

Result<void> detail::ChannelState::send(Message& message, Deadline deadline) {
  auto sent = guarded([&]() -> Result<void> {
    if (!message.handles().empty()) BULKHEAD_TRY(check_handles(message, trust));
    if (message.priority() == 0) [[likely]]
      return link->send(message.bytes(), message.handles(), deadline);
    BULKHEAD_TRY(check_urgent(message));
    return link->send_urgent(message.bytes(), message.priority(), deadline);
  });
  if (sent && !message.handles().empty()) message.handles().clear();
  return tell(*this, std::move(sent), "send", deadline);
}

Result<void> detail::ChannelState::send_part(Message& message, std::size_t& done) {
  auto sent = guarded([&]() -> Result<void> {
    if (!message.handles().empty()) BULKHEAD_TRY(check_handles(message, trust));
    if (message.priority() == 0) return link->send_part(message.bytes(), message.handles(), done);
    BULKHEAD_TRY(check_urgent(message));
    return link->send_urgent_part(message.bytes(), message.priority(), done);
  });
  if (sent && !message.handles().empty()) message.handles().clear();
  return tell(*this, std::move(sent), "send", no_wait);
}

Result<void> detail::ChannelState::receive(Message& into, Deadline deadline) {
  return tell(*this, guarded([&] { return link->receive(into, deadline); }), "receive", deadline);
}

Result<void> Channel::send(Bytes bytes, Deadline deadline) {
  auto& state = *state_;
  if (state.link->send_at_once(bytes)) [[likely]]
    return {};
  return tell(state, guarded([&] { return state.link->send(bytes, {}, deadline); }), "send",
              deadline);
}

Result<void> Channel::send(Message& message, Deadline deadline) {
  return state_->send(message, deadline);
}

Result<void> Channel::try_send(Bytes bytes) { return send(bytes, no_wait); }
Result<void> Channel::try_send(Message& message) { return send(message, no_wait); }

Result<std::size_t> Channel::send_many(std::span<const Bytes> messages, Deadline deadline) {
  auto& state = *state_;
  return tell(state, guarded([&] { return state.link->send_many(messages, deadline); }), "send",
              deadline);
}

Result<Message> Channel::receive(Deadline deadline) {
  Result<Message> message{std::in_place};
  if (auto got = receive(*message, deadline); !got) [[unlikely]] {
    return fail(std::move(got).error());
  }
  return message;
}

Result<void> Channel::receive(Message& into, Deadline deadline) {
  if (state_->link->receive_at_once(into)) [[likely]]
    return {};
  return state_->receive(into, deadline);
}

Result<Message> Channel::try_receive() { return receive(no_wait); }

Result<Loan> Channel::loan(std::size_t size, Deadline deadline) {
  auto& state = *state_;
  auto room = guarded([&] { return state.link->loan(size, deadline); });
  if (!room) return told(state, std::move(room).error(), "loan", deadline);
  return Loan{&state, *room};
}

Result<void> Channel::send(Loan loan) {
  auto& state = *state_;
  if (loan.state_ != &state) {
    return fail(ErrorKind::invalid, {.operation = "send",
                                     .object = "loan",
                                     .cause = "it was lent by another channel, or sent already"});
  }
  loan.state_ = nullptr;
  return tell(state, guarded([&] { return state.link->commit(); }), "send", no_wait);
}

Result<View> Channel::receive_view(Deadline deadline) {
  auto& state = *state_;
  auto seen = guarded([&] { return state.link->view(deadline); });
  if (!seen) return told(state, std::move(seen).error(), "receive", deadline);
  if (seen->has_value()) return View{&state, **seen};
  auto copy = receive(deadline);
  if (!copy) return fail(std::move(copy).error());
  return View{*std::move(copy)};
}

Result<FdView> Channel::readable() {
  return tell(*state_, state_->link->readable(), "watch", no_wait);
}

Result<FdView> Channel::writable() {
  return tell(*state_, state_->link->writable(), "watch", no_wait);
}

Mechanism Channel::mechanism() const noexcept { return state_->link->mechanism(); }
Capabilities Channel::capabilities() const noexcept { return state_->link->capabilities(); }
Trust Channel::trust() const noexcept { return state_->trust; }
Peer Channel::peer() const noexcept { return state_->peer(); }
Losses Channel::losses() const noexcept { return state_->link->losses(); }
void Channel::close() noexcept { state_->close(); }

Result<Handle> Channel::into_handle() && {
  // Only what was given up leaves this Channel empty; a refused one stays usable.
  auto handle = state_->link->detach();
  if (!handle) return told(*state_, std::move(handle).error(), "hand over", no_wait);
  state_.reset();
  return handle;
}

Result<Channel> Channel::from_handle(Handle handle, Trust trust) {
  return from_handle(std::move(handle), ChannelOptions{.trust = trust});
}

Result<Channel> Channel::from_handle(Handle handle, const ChannelOptions& options) {
  if (handle.kind() != Handle::Kind::channel) {
    return fail(ErrorKind::invalid, {.operation = "make channel",
                                     .object = "handle",
                                     .cause = "it is not the end of a channel"});
  }
  auto link = guarded([&] { return transport::adopt(std::move(handle), options); });
  if (!link) return fail(std::move(link).error());
  return ChannelState::make(*std::move(link), options.trust);
}

Result<std::pair<Channel, Channel>> pair(Mechanism mechanism, const ChannelOptions& options) {
  auto links = guarded([&] { return transport::make_pair(mechanism, options); });
  if (!links) {
    return fail(links.error().during("make", "pair(" + std::string{to_string(mechanism)} + ")"));
  }
  return std::pair{ChannelState::make(std::move(links->first), options.trust),
                   ChannelState::make(std::move(links->second), options.trust)};
}

Result<Channel> connect(const Address& address, Deadline deadline, const ChannelOptions& options) {
  auto link = guarded([&] { return transport::connect(address, deadline, options); });
  if (!link) return fail(link.error().during("connect", address.text()));
  const bool stranger = (*link)->peer().uid != ::geteuid();
  return ChannelState::make(*std::move(link), stranger ? Trust::untrusted : options.trust,
                            address.text());
}

}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
#include <bulkhead/detail/channel/async_work.hpp>

#include "channel/channel_state.hpp"
#include "channel/listener_state.hpp"

namespace bulkhead::detail {

using os::no_wait;

Receiving::Receiving(Channel& channel) noexcept : state_(ChannelState::share(channel)) {}

Result<Message> Receiving::attempt() {
  Message message;
  if (auto got = state_->receive(message, no_wait); !got) return fail(std::move(got).error());
  return message;
}

Result<FdView> Receiving::watch() { return state_->link->readable(); }

Error Receiving::give_up(ErrorKind why) { return state_->explain(Error{why}, "receive", no_wait); }

Sending::Sending(Channel& channel, Message message) noexcept
    : state_(ChannelState::share(channel)), message_(std::move(message)) {}

Result<void> Sending::attempt() {
  auto sent = state_->send_part(message_, done_);
  if (!sent && sent.error() != ErrorKind::full) done_ = 0;
  return sent;
}

Result<FdView> Sending::watch() { return state_->link->writable(); }

Error Sending::give_up(ErrorKind why) {
  state_->link->abort_part(done_);
  return state_->explain(Error{why}, "send", no_wait);
}

Accepting::Accepting(Listener& listener) noexcept : state_(ListenerState::share(listener)) {}

Result<Channel> Accepting::attempt() { return state_->accept(no_wait); }

Result<FdView> Accepting::watch() { return state_->acceptor->readable(); }

Error Accepting::give_up(ErrorKind why) {
  return {why, {.operation = "accept", .object = state_->address.text()}};
}

}  // namespace bulkhead::detail

// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <bulkhead/listener.hpp>

#include "channel/channel_state.hpp"
#include "channel/listener_state.hpp"

namespace bulkhead {

Result<Channel> detail::ListenerState::accept(Deadline deadline) {
  auto link = acceptor->accept(deadline);
  if (!link) {
    if (link.error() == ErrorKind::empty) return fail(ErrorKind::empty);
    return fail(link.error().during("accept", address.text()));
  }
  // Another user's process is never trusted more for having been let in.
  const bool stranger = (*link)->peer().uid != ::geteuid();
  return ChannelState::make(*std::move(link), stranger ? Trust::untrusted : trust, address.text());
}

Listener::Listener(std::shared_ptr<detail::ListenerState> state) noexcept
    : state_(std::move(state)) {}
Listener::Listener(Listener&&) noexcept = default;

Listener& Listener::operator=(Listener&& other) noexcept {
  if (this == &other) return *this;
  if (state_) close();
  state_ = std::move(other.state_);
  return *this;
}

Listener::~Listener() {
  if (state_) close();
}

Result<Channel> Listener::accept(Deadline deadline) { return state_->accept(deadline); }

Result<Channel> Listener::try_accept() { return accept(os::no_wait); }

FdView Listener::readable() const noexcept { return state_->acceptor->readable(); }
const Address& Listener::address() const noexcept { return state_->address; }
void Listener::close() noexcept { state_->acceptor->close(); }

Result<Listener> listen(const Address& address, const ListenOptions& options) {
  auto acceptor =
      transport::listen(address, options.channel, options.allow == ListenOptions::Allow::anyone);
  if (!acceptor) return fail(acceptor.error().during("listen", address.text()));
  Address at = (*acceptor)->address().value_or(address);
  return detail::ListenerState::make(std::make_shared<detail::ListenerState>(
      detail::ListenerState{*std::move(acceptor), std::move(at), options.channel.trust}));
}

}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
#include "channel/channel_state.hpp"

#include <algorithm>
#include <unistd.h>

namespace bulkhead::detail {

Channel ChannelState::make(std::unique_ptr<transport::Link> link, Trust trust,
                           std::string address) {
  return make(std::make_shared<ChannelState>(std::move(link), trust, std::move(address)));
}

Channel ChannelState::make(std::shared_ptr<ChannelState> state) {
  return Channel{std::move(state)};
}

void ChannelState::watch_process(Peer process, Obituary how_it_ended, std::string who) {
  const std::lock_guard guard{fate_mutex_};
  who_ = std::move(who);
  process_ = process;
  obituary_ = std::move(how_it_ended);
}

Peer ChannelState::peer() const noexcept {
  {
    const std::lock_guard guard{fate_mutex_};
    if (process_.pid != 0) return process_;
  }
  return link->peer();
}

void ChannelState::close() noexcept {
  closed_here = true;
  link->close();
}

std::string ChannelState::peer_name() const {
  {
    const std::lock_guard guard{fate_mutex_};
    if (!who_.empty()) return who_;
  }
  const pid_t pid = peer().pid;
  // A socket pair names its maker; ourselves would mislead.
  if (pid == 0 || pid == ::getpid()) return "the peer";
  return "the peer (pid " + std::to_string(pid) + ")";
}

std::string ChannelState::name() const {
  if (!object.empty()) return object;
  std::string text{to_string(link->mechanism())};
  text += " channel";
  const pid_t pid = peer().pid;
  // A socket pair names its maker; ourselves would mislead.
  if (pid != 0 && pid != ::getpid()) text += " to pid " + std::to_string(pid);
  return text;
}

std::optional<Error> ChannelState::ask_obituary(std::string_view operation, Deadline deadline) {
  using namespace std::chrono_literals;
  const std::lock_guard guard{fate_mutex_};
  if (obituary_ && !fate_asked_) {
    // The kernel closes a dying process's descriptors before it can be waited for, so there is a
    // moment to wait even for callers that would rather not.
    fate_ = obituary_(std::max(Deadline{50ms}, earlier(deadline, Deadline{1s})));
    fate_asked_ = true;
  }
  if (!fate_) return std::nullopt;
  return Error::died(std::string{operation}, fate_->first, fate_->second);
}

Error ChannelState::explain(Error error, std::string_view operation, Deadline deadline) {
  const ErrorKind kind = error.kind();
  if (kind == ErrorKind::full || kind == ErrorKind::empty) return error;
  if (kind == ErrorKind::peer_died) {
    if (auto died = ask_obituary(operation, deadline)) return *std::move(died);
  }
  if (!error.cause().empty() || &error.code().category() == &std::system_category()) {
    return error.during(std::string{operation}, name());
  }
  Error::Details details{.operation = std::string{operation}, .object = name()};
  if (kind == ErrorKind::closed) {
    details.cause = closed_here ? "this end has been closed" : "the peer has closed";
  } else if (kind == ErrorKind::peer_died) {
    details.cause = peer_name() + " died";
  }
  return Error{kind, std::move(details)};
}

}  // namespace bulkhead::detail

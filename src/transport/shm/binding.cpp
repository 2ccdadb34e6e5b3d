// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/binding.hpp"

#include <algorithm>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "os/condition.hpp"
#include "os/poll.hpp"
#include "os/socket.hpp"

namespace bulkhead::transport::shm {

Binding::Binding(Fd control, const ChannelOptions& options, ShmSetup setup)
    : options_(options),
      setup_(std::move(setup)),
      control_(std::move(control)),
      owner_(::getpid()) {
  const auto peer = os::peer_credentials(control_);
  credentials_ = {.pid = peer.pid, .uid = peer.uid, .gid = peer.gid};
}

Result<void> Binding::bind() {
  const Lock lock{mutex_};
  return bind_locked();
}

Result<void> Binding::bind_locked() {
  BULKHEAD_TRY(verdict_locked());
  if (own_) return {};
  owner_ = ::getpid();
  OwnSegment own = BULKHEAD_TRY(OwnSegment::create(rounded_capacity(options_.capacity_bytes),
                                                   setup_.first_cursor, setup_.one_mapping.get()));
  Bell data_bell = BULKHEAD_TRY(Bell::create(options_.trust));
  Bell space_bell = BULKHEAD_TRY(Bell::create(options_.trust));
  // Now, though needed later: once the peer's hello has been read there is no second try.
  WakeSet data_wakes = BULKHEAD_TRY(WakeSet::create());
  WakeSet space_wakes = BULKHEAD_TRY(WakeSet::create());
  const Fd file = own.take_file();
  const auto sent = control().send_hello(own.capacity(), options_.trust, file, data_bell.passing(),
                                         space_bell.passing());
  // A peer that has gone may have left messages: they are to be had all the same.
  if (!sent && sent.error() != ErrorKind::closed) return sent;
  data_bell.passed();
  space_bell.passed();
  own_.emplace(std::move(own));
  data_bell_.emplace(std::move(data_bell));
  space_bell_.emplace(std::move(space_bell));
  data_wakes_.emplace(std::move(data_wakes));
  space_wakes_.emplace(std::move(space_wakes));
  place_ = {.may_move = may_change_cpu(), .always_sleep = setup_.always_sleep};
  return {};
}

Result<void> Binding::meet(Deadline deadline) {
  Lock lock{mutex_};
  BULKHEAD_TRY(bind_locked());
  for (;;) {
    BULKHEAD_TRY(verdict_locked());
    if (peer_) return {};
    // One thread of this end polls; the other waits for what that one finds.
    if (polling_) {
      if (deadline == os::no_wait) return fail(ErrorKind::empty);
      if (!os::wait_until(changed_, lock, deadline) && polling_) return fail(ErrorKind::timed_out);
      continue;
    }
    auto hello = control().receive_hello();
    if (hello) return attach_locked(*std::move(hello));
    if (hello.error() != ErrorKind::empty) return end_locked(std::move(hello).error());
    if (deadline == os::no_wait) return fail(ErrorKind::empty);
    polling_ = true;
    lock.unlock();
    const auto events = os::poll_one(control_, POLLIN | POLLRDHUP, deadline);
    lock.lock();
    polling_ = false;
    changed_.notify_all();
    if (!events) return fail(events.error());
    if (*events == 0) return fail(ErrorKind::timed_out);
  }
}

Result<void> Binding::attach_locked(PeerHello hello) {
  auto peer =
      PeerSegment::attach(std::move(hello.segment), hello.capacity, setup_.one_mapping.get());
  if (!peer) return end_locked(std::move(peer).error());
  auto data_watch = BellWatch::adopt(std::move(hello.data_bell));
  if (!data_watch) return end_locked(std::move(data_watch).error());
  auto space_watch = BellWatch::adopt(std::move(hello.space_bell));
  if (!space_watch) return end_locked(std::move(space_watch).error());
  data_watch_.emplace(*std::move(data_watch));
  space_watch_.emplace(*std::move(space_watch));
  if (auto added = data_wakes_->add(data_watch_->fd(), control_); !added) {
    return end_locked(std::move(added).error());
  }
  if (auto added = space_wakes_->add(space_watch_->fd(), control_); !added) {
    return end_locked(std::move(added).error());
  }
  handle_limit_ = std::min(hello.most_handles, most_handles(options_.trust));
  peer_.emplace(*std::move(peer));
  // Whoever waits outside is to call again: only the thread itself can arm its wait word.
  for (auto [outside, bell] : {std::pair{&readable_, &data_watch_}, {&writable_, &space_watch_}}) {
    if (!*outside) continue;
    if (auto added = outside->add((*bell)->fd(), control_); !added) {
      return end_locked(std::move(added).error());
    }
    outside->nudge();
  }
  changed_.notify_all();
  return {};
}

Result<FdView> Binding::watch(Outside& outside, const std::optional<BellWatch>& bell) {
  const Lock lock{mutex_};
  if (outside) return outside.view();
  BULKHEAD_TRY(verdict_locked());
  Outside made;
  BULKHEAD_TRY(made.open(control_));
  if (bell) BULKHEAD_TRY(made.add(bell->fd(), control_));
  outside = std::move(made);
  return outside.view();
}

Result<void> Binding::verdict() const {
  const Lock lock{mutex_};
  return verdict_locked();
}

Result<void> Binding::verdict_locked() const {
  if (closed_here_) return fail(ErrorKind::closed);
  if (detached_) {
    return fail(ErrorKind::invalid, {.operation = "use",
                                     .object = "shm channel",
                                     .cause = "this end was given to another process"});
  }
  if (reason_) return fail(*reason_);
  return {};
}

std::unexpected<Error> Binding::end(Error reason) {
  const Lock lock{mutex_};
  return end_locked(std::move(reason));
}

std::unexpected<Error> Binding::end_locked(Error reason) {
  if (closed_here_) return fail(ErrorKind::closed);
  if (!reason_) {
    reason_ = std::move(reason);
    shut_down();
  }
  return fail(*reason_);
}

void Binding::close() noexcept {
  const Lock lock{mutex_};
  if (closed_here_ || detached_) return;
  closed_here_ = true;
  // The segment is not mapped in a forked child, and the socket is still the parent's.
  if (owner_ != ::getpid()) {
    live_ = false;
    return;
  }
  if (own_) {
    // ORDER(shm.closed.tell): release, after every tail that this thread published; pairs with
    // ORDER(shm.closed.look).
    own_->words().closed.store(1, std::memory_order_release);
  } else if (!reason_) {
    control().send_bye();
  }
  shut_down();
}

void Binding::shut_down() noexcept {
  // ORDER(shm.live.end): relaxed; pairs with ORDER(shm.live.look), and the mutex orders the reason.
  live_.store(false, std::memory_order_relaxed);
  ::shutdown(control_.native(), SHUT_RDWR);
  changed_.notify_all();
}

Result<Fd> Binding::detach() {
  const Lock lock{mutex_};
  BULKHEAD_TRY(verdict_locked());
  if (own_) {
    return fail(ErrorKind::invalid, {.operation = "detach",
                                     .object = "shm channel",
                                     .cause = "it has been used here",
                                     .remedy = "pass an end on before its first use"});
  }
  detached_ = true;
  live_ = false;
  return std::move(control_);
}

}  // namespace bulkhead::transport::shm

// SPDX-License-Identifier: Apache-2.0
#include "transport/shm/binding.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "os/condition.hpp"
#include "os/poll.hpp"
#include "os/socket.hpp"
#include "transport/shm/hostile_view.hpp"

namespace bulkhead::transport::shm {
namespace {

/// Kept free in the socket's buffer for bye, in the unit of SO_SNDBUF (the kernel doubles it): one
/// largest packet, by which a buffer may be overfull.
constexpr int bye_room = 64 * 1024;
constexpr int least_buffer = 8 * 1024;

}  // namespace

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
  if (bound_) return {};
  owner_ = ::getpid();
  const auto made = make_memory();
  if (!made) {
    drop_memory();
    if (options_.needs.in_place) {
      return fail(made.error().kind(),
                  {.operation = "bind",
                   .object = "shm channel",
                   .cause = made.error().sentence() + ", and ChannelOptions::needs has in_place",
                   .remedy = "give this process memory, or let the channel stay on its socket",
                   .code = made.error().code()});
    }
    note_that_it_stays();
  }
  make_room_in_socket();
  if (made) {
    auto sent = control().send_hello(own_->capacity(), options_.trust, file_, data_bell_->passing(),
                                     space_bell_->passing());
    file_.close();
    // A peer that has gone may have left messages: they are to be had all the same.
    if (sent || sent.error() == ErrorKind::closed) {
      data_bell_->passed();
      space_bell_->passed();
      bound_ = true;
      return {};
    }
    // Too many descriptors under way, say.
    drop_memory();
    if (options_.needs.in_place) return sent;
    note_that_it_stays();
  }
  const auto sent = control().send_hello_without_memory(options_.trust);
  if (!sent && sent.error() != ErrorKind::closed) return sent;
  bound_ = true;
  return {};
}

Result<void> Binding::make_memory() {
  if (setup_.no_memory) return fail(ErrorKind::exhausted, {.cause = "none is to be made"});
  OwnSegment own = BULKHEAD_TRY(OwnSegment::create(rounded_capacity(options_.capacity_bytes),
                                                   setup_.first_cursor, setup_.one_mapping.get()));
  Bell data_bell = BULKHEAD_TRY(Bell::create(options_.trust));
  Bell space_bell = BULKHEAD_TRY(Bell::create(options_.trust));
  // Now, though needed later: once both have mapped, there is no way back to the socket.
  WakeSet data_wakes = BULKHEAD_TRY(WakeSet::create());
  WakeSet space_wakes = BULKHEAD_TRY(WakeSet::create());
  file_ = own.take_file();
  own_.emplace(std::move(own));
  data_bell_.emplace(std::move(data_bell));
  space_bell_.emplace(std::move(space_bell));
  data_wakes_.emplace(std::move(data_wakes));
  space_wakes_.emplace(std::move(space_wakes));
  place_ = {.may_move = may_change_cpu(), .always_sleep = setup_.always_sleep};
  return {};
}

void Binding::note_that_it_stays() noexcept {
  // ORDER(shm.stays.tell): relaxed; pairs with ORDER(shm.stays.look).
  stays_.store(true, std::memory_order_relaxed);
}

/// Nobody uses it: neither direction has moved.
void Binding::drop_memory() noexcept {
  file_.close();
  own_.reset();
  data_bell_.reset();
  space_bell_.reset();
  data_wakes_.reset();
  space_wakes_.reset();
  peer_.reset();
  data_watch_.reset();
  space_watch_.reset();
}

void Binding::make_room_in_socket() noexcept {
  // The kernel gives at most net.core.wmem_max: ask for all, then keep bye's part.
  const auto wanted = std::clamp<std::size_t>(options_.capacity_bytes, least_buffer, 1 << 30);
  os::set_send_buffer(control_, static_cast<int>(wanted) + bye_room);
  os::set_send_buffer(control_, std::max(least_buffer, os::send_buffer(control_) / 2 - bye_room));
  // Half of it is for what the kernel adds to each packet.
  socket_room_ = static_cast<std::size_t>(os::send_buffer(control_)) / 2;
}

Result<void> Binding::meet(Deadline deadline) {
  Lock lock{mutex_};
  BULKHEAD_TRY(bind_locked());
  for (;;) {
    BULKHEAD_TRY(verdict_locked());
    if (met_) return hear_of_peers_memory();
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
  handle_limit_ = std::min(hello.most_handles, most_handles(options_.trust));
  if (!stays_on_socket()) {
    if (hello.capacity == 0) {
      BULKHEAD_TRY(stay("one of the two ends has no memory to share"));
    } else if (auto mapped = map_peer(hello); mapped) {
      // ORDER(shm.mapped.tell): release, though nothing is told but this; pairs with
      // ORDER(shm.mapped.look).
      own_->words().mapped.store(Mapped::yes, std::memory_order_release);
    } else if (mapped.error() == ErrorKind::corrupt) {
      return end_locked(std::move(mapped).error());
    } else {
      BULKHEAD_TRY(stay(mapped.error().sentence().c_str()));
    }
  }
  met_ = true;
  changed_.notify_all();
  return {};
}

Result<void> Binding::map_peer(PeerHello& hello) {
  auto peer = BULKHEAD_TRY(
      PeerSegment::attach(std::move(hello.segment), hello.capacity, setup_.one_mapping.get()));
  data_watch_.emplace(BULKHEAD_TRY(BellWatch::adopt(std::move(hello.data_bell))));
  space_watch_.emplace(BULKHEAD_TRY(BellWatch::adopt(std::move(hello.space_bell))));
  BULKHEAD_TRY(data_wakes_->add(data_watch_->fd(), control_));
  BULKHEAD_TRY(space_wakes_->add(space_watch_->fd(), control_));
  peer_.emplace(std::move(peer));
  return {};
}

/// What the peer came to know after its hello.
Result<void> Binding::hear_of_peers_memory() {
  const bool open = peer_ && !moved_in_ && !moved_out_;
  if (!open || PeerWords{peer_->words()}.mapped() != Mapped::never_will_be) return {};
  return stay("the other end cannot map our memory");
}

Result<void> Binding::stay(const char* cause) {
  if (options_.needs.in_place) {
    control().send_bye();
    return end_locked({ErrorKind::unsupported,
                       {.operation = "bind",
                        .object = "shm channel",
                        .cause = std::string{cause} + ", and ChannelOptions::needs has in_place",
                        .remedy = "give both memory, or let the channel stay on its socket"}});
  }
  // For a peer that has mapped ours. ORDER(shm.mapped.tell): as in attach_locked(); pairs with
  // ORDER(shm.mapped.look).
  if (own_) own_->words().mapped.store(Mapped::never_will_be, std::memory_order_release);
  note_that_it_stays();
  drop_memory();
  return {};
}

Result<bool> Binding::move_out() {
  const Lock lock{mutex_};
  BULKHEAD_TRY(verdict_locked());
  if (!peer_ || PeerWords{peer_->words()}.mapped() != Mapped::yes) return false;
  if (writable_) BULKHEAD_TRY(writable_.add_bell(space_watch_->fd()));
  BULKHEAD_TRY(control().send_moved());
  moved_out_ = true;
  if (!writable_) return true;
  if (auto left = writable_.leave_socket(control_); !left) {
    return end_locked(std::move(left).error());
  }
  writable_.nudge();  // the ring is empty
  return true;
}

Result<void> Binding::enter_ring() {
  const Lock lock{mutex_};
  BULKHEAD_TRY(verdict_locked());
  if (!peer_ || moved_in_) {
    return end_locked({ErrorKind::corrupt, {.cause = "the peer moved to where we are not"}});
  }
  moved_in_ = true;
  if (!readable_) return {};
  auto watched = readable_.add_bell(data_watch_->fd());
  if (watched) watched = readable_.leave_socket(control_);
  if (!watched) return end_locked(std::move(watched).error());
  readable_.nudge();  // whoever waits outside is to call again: only that thread can arm its word
  return {};
}

Error Binding::why_gone() {
  if (auto reason = verdict(); !reason) return std::move(reason).error();
  // The kernel refuses our packets a moment before it tells. A peer that has shut its receiving side
  // alone may go on to send: what it says is heard, and nothing put aside.
  const auto events = os::poll_one(control_, POLLRDHUP, std::chrono::milliseconds{1});
  if (events && *events == 0) return Error{ErrorKind::closed};
  if (auto met = meet(never); !met) return std::move(met).error();
  const bool said_bye = inbox_.keep_all(control_);
  if (auto reason = verdict(); !reason) return std::move(reason).error();
  const bool politely = said_bye || peer_said_closed();
  return Error{politely ? ErrorKind::closed : ErrorKind::peer_died};
}

bool Binding::peer_said_closed() const {
  const Lock lock{mutex_};
  return peer_ && PeerWords{peer_->words()}.closed();
}

bool Binding::may_be_in_memory() const {
  const Lock lock{mutex_};
  return moved_in_ || moved_out_ ||
         (!stays_on_socket() &&
          !(peer_ && PeerWords{peer_->words()}.mapped() == Mapped::never_will_be));
}

ShmWays Binding::ways() const {
  const Lock lock{mutex_};
  return {.sends_in_memory = moved_out_,
          .receives_in_memory = moved_in_,
          .stays_on_socket = stays_on_socket()};
}

Result<FdView> Binding::watch(Outside& outside, Outside::For what) {
  const Lock lock{mutex_};
  if (outside) return outside.view();
  BULKHEAD_TRY(verdict_locked());
  Outside made;
  BULKHEAD_TRY(made.open(control_, what));
  if (what == Outside::For::data ? moved_in_ : moved_out_) {
    const auto& bell = what == Outside::For::data ? data_watch_ : space_watch_;
    BULKHEAD_TRY(made.add_bell(bell->fd()));
    BULKHEAD_TRY(made.leave_socket(control_));
  }
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
  }
  // Whether the peer sees that word is not certain before it reads what we write in memory.
  if (!moved_out_ && !reason_) {
    if (bound_) os::set_send_buffer(control_, os::send_buffer(control_) / 2 + bye_room);
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
  if (bound_) {
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

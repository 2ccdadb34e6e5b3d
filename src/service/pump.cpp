// SPDX-License-Identifier: Apache-2.0
//
// The event loop's part of a Session, and how a Session is found from a Channel.
#include "service/session.hpp"

namespace bulkhead::detail {

namespace {

// The event loop gets its thread back after so many steps, and the rest comes in its next turn.
constexpr int steps_a_turn = 64;

}  // namespace

bool Session::has_pump() {
  const Lock lock(mutex_);
  return pump_ && pump_->alive();
}

void Session::attach_pump(std::shared_ptr<Pump> pump) {
  const Lock lock(mutex_);
  if (!pump_ || !pump_->alive()) pump_ = std::move(pump);
}

PumpState Session::pump() {
  Lock lock(mutex_);
  PumpState state;
  // While another thread has the receiving role it routes our replies too, and schedules the pump
  // when it leaves. Making a descriptor belongs to a role as well.
  state.readable = readable(lock);
  Incoming buffer;
  int steps = 0;
  for (; steps < steps_a_turn && !ended_ && !receiving_; ++steps) {
    const bool received = receive(lock, buffer, os::no_wait) == Received::something;
    const bool room = flush_outbox(lock);
    if (async_service_ && room && !requests_.empty()) {
      serve_one(lock, Service{*async_service_}, false);
    } else if (async_service_ && room && can_produce()) {
      produce_one(lock, false);
    } else if (!received) {
      break;
    }
  }
  state.wanted = !ended_ && !receiving_ && (!async_calls_.empty() || async_service_);
  state.blocked_on_send = !ended_ && !outbox_.empty() && !sending_;
  if (state.blocked_on_send) state.writable = writable(lock);
  state.retry_soon = std::exchange(retry_soon_, false) && !ended_;
  pump_missed_ = !ended_ && (receiving_ || sending_);
  if (steps == steps_a_turn && pump_) pump_->schedule();
  return state;
}

FdView Session::readable(Lock& lock) {
  if (ended_ || receiving_) return {};
  receiving_ = true;
  lock.unlock();
  const auto made = channel_.link->readable();
  lock.lock();
  receiving_ = false;
  if (!made && made.error() == ErrorKind::exhausted) retry_soon_ = true;
  if (waiting_ > 0) changed_.notify_all();
  return made ? *made : FdView{};
}

FdView Session::writable(Lock& lock) {
  sending_ = true;
  lock.unlock();
  const auto made = channel_.link->writable();
  lock.lock();
  sending_ = false;
  if (!made && made.error() == ErrorKind::exhausted) retry_soon_ = true;
  if (waiting_ > 0) changed_.notify_all();
  return made ? *made : FdView{};
}

void Session::wake_missed_pump() {
  if (std::exchange(pump_missed_, false) && pump_) pump_->schedule();
}

bool has_pump(Session& session) { return session.has_pump(); }
void attach_pump(Session& session, std::shared_ptr<Pump> pump) {
  session.attach_pump(std::move(pump));
}
PumpState pump(Session& session) { return session.pump(); }

namespace {

Session* find_or_make(ChannelState& state) {
  const std::lock_guard guard(state.session_mutex);
  if (!state.session) state.session = std::make_shared<Session>(state);
  return static_cast<Session*>(state.session.get());
}

}  // namespace

std::shared_ptr<Session> session_of(Channel& channel) {
  // Shares the ownership of the state that owns the session: no cycle, and no dangling either.
  const std::shared_ptr<ChannelState> state = ChannelState::share(channel);
  return {state, find_or_make(*state)};
}

std::shared_ptr<Session> session_of(Channel&& channel) {
  auto kept = std::make_shared<Channel>(std::move(channel));
  Session* session = find_or_make(ChannelState::of(*kept));
  return {std::move(kept), session};
}

namespace {

// One buffer a thread, lent to the message being built: a call within a call finds it gone and
// makes its own.
thread_local std::vector<std::byte> spare_buffer;
constexpr std::size_t most_kept_bytes = 4 * 1024 * 1024;

}  // namespace

Outgoing::Outgoing() : bytes(std::move(spare_buffer)) { bytes.resize(frame_header_bytes); }
Outgoing::~Outgoing() {
  if (bytes.capacity() > spare_buffer.capacity() && bytes.capacity() <= most_kept_bytes) {
    bytes.clear();
    spare_buffer = std::move(bytes);
  }
}

}  // namespace bulkhead::detail

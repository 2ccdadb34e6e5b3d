// SPDX-License-Identifier: Apache-2.0
//
// How the threads of a Session share its channel: sending, the receiving role, routing, the end.
#include "service/session.hpp"

#include <algorithm>
#include <cerrno>
#include <thread>

#include "os/condition.hpp"

namespace bulkhead::detail {

using service::FrameHeader;
using service::Kind;

namespace {

// Frames up to this size are sent in slices of time, between which what the peer sends is taken in:
// two sides that write to each other's full channels at once both get on.
constexpr std::size_t small_frame_bytes = 32 * 1024;
constexpr auto slice = std::chrono::milliseconds(5);
constexpr auto moment = std::chrono::milliseconds(1);

/// The kernel counts the descriptors that all processes of a user have under way, and refuses more
/// to those with a low limit of their own, as a sandbox has: nobody here is at fault, and it passes.
bool passes(const Error& error) noexcept {
  return error == ErrorKind::exhausted &&
         error.code() == std::error_code{ETOOMANYREFS, std::system_category()};
}

bool would_wait(const Error& error) noexcept {
  return error == ErrorKind::full || error == ErrorKind::empty || error == ErrorKind::timed_out ||
         passes(error);
}

}  // namespace

Session::~Session() {
  Lock lock(mutex_);
  end(lock, Error{ErrorKind::closed});
}

Result<void> Session::send_now(Bytes bytes, std::span<Handle> handles, Deadline deadline) {
  auto sent = channel_.link->send(bytes, handles, deadline);
  if (sent || would_wait(sent.error())) return sent;
  return fail(channel_.explain(std::move(sent).error(), "send", deadline));
}

bool Session::wait(Lock& lock, Deadline deadline) {
  ++waiting_;
  const bool woken = os::wait_until(changed_, lock, deadline);
  --waiting_;
  return woken || !deadline.expired();
}

Result<void> Session::begin_sending(Lock& lock, Deadline deadline) {
  for (;;) {
    if (ended_) return fail(*ended_);
    if (sending_) {
      if (!wait(lock, deadline)) return fail(ErrorKind::timed_out);
    } else {
      flush_outbox(lock);
      if (!sending_) break;
    }
  }
  if (ended_) return fail(*ended_);
  sending_ = true;
  if (!outbox_.empty() && outbox_.front().done != 0) {
    // The peer does not read: this frame overtakes what is queued, and the part of it that has gone
    // is taken back, to begin anew later.
    const std::size_t done = std::exchange(outbox_.front().done, 0);
    lock.unlock();
    channel_.link->abort_part(done);
    lock.lock();
  }
  return {};
}

Result<void> Session::send(Lock& lock, Outgoing& frame, Deadline deadline) {
  BULKHEAD_TRY(begin_sending(lock, deadline));
  const bool small = frame.bytes.size() <= small_frame_bytes;
  Result<void> sent;
  for (Deadline until = small ? os::no_wait : deadline;; until = earlier(deadline, slice)) {
    lock.unlock();
    sent = send_now(frame.bytes, frame.handles, until);
    if (!sent && passes(sent.error())) std::this_thread::sleep_for(moment);
    lock.lock();
    if (sent || !would_wait(sent.error()) || (until != os::no_wait && deadline.expired())) break;
    Incoming buffer;
    for (int i = 0; i < most_frames_a_turn && !receiving_ && !ended_ &&
                    receive(lock, buffer, os::no_wait) == Received::something;
         ++i) {
    }
    if (ended_) {
      sent = fail(*ended_);
      break;
    }
  }
  sending_ = false;
  wake_missed_pump();
  if (waiting_ > 0) changed_.notify_all();
  if (!sent && sent.error() == ErrorKind::full) return fail(ErrorKind::timed_out);
  return sent;
}

void Session::send_soon(Lock& lock, Outgoing& frame) {
  outbox_.push_back({Message{frame.bytes, std::move(frame.handles)}});
  outbox_bytes_ += frame.bytes.size();
  if (!flush_outbox(lock) && pump_) pump_->schedule();
}

void Session::send_soon(Lock& lock, const FrameHeader& header) {
  Outgoing frame;
  service::write_header(frame.bytes, header);
  send_soon(lock, frame);
}

bool Session::flush_outbox(Lock& lock) {
  while (!outbox_.empty() && !sending_ && !ended_) {
    sending_ = true;
    Waiting front = std::move(outbox_.front());
    outbox_.pop_front();
    lock.unlock();
    const auto sent =
        channel_.link->send_part(front.frame.bytes(), front.frame.handles(), front.done);
    lock.lock();
    sending_ = false;
    if (waiting_ > 0) changed_.notify_all();
    if (!sent && would_wait(sent.error()) && !ended_) {
      retry_soon_ = retry_soon_ || passes(sent.error());
      outbox_.push_front(std::move(front));
      return false;
    }
    outbox_bytes_ -= std::min(outbox_bytes_, front.frame.size());
  }
  return outbox_.empty();
}

Session::Received Session::receive(Lock& lock, Incoming& buffer, Deadline deadline) {
  receiving_ = true;
  if (!flush_outbox(lock)) deadline = earlier(deadline, slice);
  lock.unlock();
  const auto received = channel_.link->receive(buffer.message, deadline);
  const bool passing = !received && passes(received.error());
  if (passing && deadline != os::no_wait) std::this_thread::sleep_for(moment);
  lock.lock();
  retry_soon_ = retry_soon_ || passing;
  receiving_ = false;
  wake_missed_pump();
  if (waiting_ > 0) changed_.notify_all();
  if (pump_ && deadline != os::no_wait && (!async_calls_.empty() || async_service_)) {
    pump_->schedule();
  }
  if (!received) {
    if (would_wait(received.error())) return Received::nothing;
    const Error error = received.error();
    lock.unlock();
    // An event loop waits for how the peer died as little as any caller that does not want to wait.
    const Error told =
        channel_.explain(error, "receive", deadline == os::no_wait ? os::no_wait : never);
    lock.lock();
    end(lock, told);
    return Received::something;
  }
  buffer.trust = channel_.trust;
  route(lock, buffer);
  return Received::something;
}

void Session::route(Lock& lock, Incoming& frame) {
  const auto header = service::read_header(frame.message.bytes());
  if (!header || header->version != service::frame_version) {
    return end(lock, Error{header ? ErrorKind::incompatible : ErrorKind::corrupt,
                           {.operation = "receive",
                            .object = "frame",
                            .cause = header ? "the peer speaks version " +
                                                  std::to_string(header->version) +
                                                  " of the call protocol, this side version 1"
                                            : "the peer sent something that is not a frame"}});
  }
  switch (static_cast<Kind>(header->kind)) {
    case Kind::request:
    case Kind::one_way:
      return queue_request(lock, *header, frame);
    case Kind::reply:
    case Kind::item:
    case Kind::end:
      return route_answer(lock, *header, frame);
    case Kind::cancel:
      return cancel_served(header->call);
    case Kind::credit:
      for (const auto& call : serving_) {
        if (call->id == header->call) call->credit += std::min(header->credit, stream_window);
      }
      return;
  }
}

void Session::route_answer(Lock& lock, const FrameHeader& header, Incoming& frame) {
  PendingCall* pending = find(header.call);
  if (pending == nullptr) return;  // abandoned meanwhile
  const auto kind = static_cast<Kind>(header.kind);
  if ((header.flags & service::flag_error) != 0) {
    auto error = frame.decoder().get<Error>();
    pending->error = error ? *std::move(error) : std::move(error).error();
    pending->done = true;
  } else if (!pending->is_stream && kind == Kind::reply) {
    if (&frame != pending->reply) std::swap(frame, *pending->reply);
    pending->done = true;
  } else if (pending->is_stream && kind == Kind::item) {
    if (pending->items.size() >= stream_window) {
      return end(lock, Error{ErrorKind::corrupt,
                             {.operation = "receive",
                              .object = "stream",
                              .cause = "the peer sent more values than it had room for"}});
    }
    pending->items.push_back(std::exchange(frame, Incoming{}));
  } else if (pending->is_stream && kind == Kind::end) {
    pending->done = true;
  } else {
    return;  // a stream's reply says only that it has opened
  }
  complete(lock, *pending);
}

void Session::complete(Lock& lock, PendingCall& pending) {
  if (!pending.completion) {
    if (waiting_ > 0) changed_.notify_all();
    return;
  }
  forget(pending);
  const auto position = std::find_if(async_calls_.begin(), async_calls_.end(),
                                     [&](const auto& call) { return call.get() == &pending; });
  if (position == async_calls_.end()) return;
  const std::unique_ptr<PendingCall> call = std::move(*position);
  async_calls_.erase(position);
  if (pump_ && async_calls_.empty()) pump_->schedule();  // it need not watch any more
  lock.unlock();
  if (call->error) {
    call->completion(fail(*std::move(call->error)));
  } else {
    call->completion(std::move(call->own));
  }
  lock.lock();
}

void Session::end(Lock& lock, const Error& error) {
  if (ended_) return;
  ended_ = error;
  requests_.clear();
  requests_bytes_ = 0;
  outbox_.clear();
  outbox_bytes_ = 0;
  for (const auto& call : serving_) call->cancelled = true;
  const auto streams = std::exchange(streams_, {});
  for (const auto& pending : std::vector(pending_)) {
    if (find(pending->id) != pending || pending->done) continue;
    pending->error = error;
    pending->done = true;
    complete(lock, *pending);
  }
  if (waiting_ > 0) changed_.notify_all();
  if (pump_) pump_->schedule();
  if (auto ended = std::exchange(async_service_ended_, nullptr)) {
    async_service_.reset();
    lock.unlock();
    if (error == ErrorKind::closed) {
      ended({});
    } else {
      ended(fail(error));
    }
    lock.lock();
  }
}

PendingCall* Session::find(std::uint64_t id) noexcept {
  const auto found = std::find_if(pending_.begin(), pending_.end(),
                                  [&](const PendingCall* call) { return call->id == id; });
  return found == pending_.end() ? nullptr : *found;
}

void Session::forget(const PendingCall& pending) noexcept { std::erase(pending_, &pending); }

}  // namespace bulkhead::detail

// SPDX-License-Identifier: Apache-2.0
//
// The calling half of a Session: calls, one-way calls, streams, calls of an event loop.
#include <sstream>

#include "service/session.hpp"

namespace bulkhead::detail {

using service::FrameHeader;
using service::Kind;

namespace {

/// When a call must have ended, and what is left until then for its server.
struct Budget {
  Deadline deadline;
  std::int64_t left_ns;
};

Budget budget_of(const CallTime& time) {
  const Deadline own = time.until ? *time.until : deadline_in(time.each, Whose::callers);
  const Deadline inherited = current_deadline();
  if (inherited < own) return {inherited, inherited.remaining().count()};
  if (own.is_never()) return {own, -1};
  return {own, time.until ? own.remaining().count() : time.each.count()};
}

FrameHeader request_header(Kind kind, const Method& method, std::int64_t left_ns) {
  return {.kind = static_cast<std::uint8_t>(kind), .method = method.id, .budget_ns = left_ns};
}

/// "2 s", "50 ms": what a person would say.
std::string spoken(std::chrono::nanoseconds time) {
  std::ostringstream text;
  const auto ns = static_cast<double>(time.count());
  if (ns >= 1e9) {
    text << ns / 1e9 << " s";
  } else if (ns >= 1e6) {
    text << ns / 1e6 << " ms";
  } else {
    text << ns / 1e3 << " us";
  }
  return std::move(text).str();
}

}  // namespace

Error Session::failure(const PendingCall& pending, std::string_view method) const {
  const Error& error = pending.error ? *pending.error : *ended_;
  return error.during(std::string(method));
}

Result<void> Session::await(Lock& lock, PendingCall& pending, Deadline deadline) {
  while (!pending.ready()) {
    if (receiving_) {
      if (!wait(lock, deadline) && !pending.ready()) return fail(ErrorKind::timed_out);
    } else {
      receive(lock, *pending.reply, deadline);
      // Whatever came: a peer may send frames that are nobody's for ever.
      if (!pending.ready() && deadline.expired()) return fail(ErrorKind::timed_out);
    }
  }
  return {};
}

Result<void> Session::call(const Method& method, Outgoing& request, const CallTime& time,
                           Incoming& reply) {
  const Budget budget = budget_of(time);
  FrameHeader header = request_header(Kind::request, method, budget.left_ns);
  PendingCall pending;
  pending.reply = &reply;
  Lock lock(mutex_);
  if (ended_) return fail(ended_->during(std::string(method.name)));
  pending.id = header.call = next_call_++;
  pending_.push_back(&pending);
  service::write_header(request.bytes, header);
  Result<void> outcome = send(lock, request, budget.deadline);
  const bool sent = outcome.has_value();
  if (sent) outcome = await(lock, pending, budget.deadline);
  forget(pending);
  if (!outcome && outcome.error() == ErrorKind::timed_out) {
    if (sent)
      send_soon(lock,
                FrameHeader{.kind = static_cast<std::uint8_t>(Kind::cancel), .call = pending.id});
    return fail(ErrorKind::timed_out,
                {.operation = std::string(method.name),
                 .cause = (sent ? "no answer from " : "no room to ask ") + channel_.peer_name() +
                          (time.until ? std::string(" in time") : " within " + spoken(time.each))});
  }
  if (!outcome) return fail(outcome.error().during(std::string(method.name)));
  if (pending.error) return fail(failure(pending, method.name));
  return {};
}

Result<void> Session::notify(const Method& method, Outgoing& request, const CallTime& time) {
  const Budget budget = budget_of(time);
  service::write_header(request.bytes, request_header(Kind::one_way, method, budget.left_ns));
  Lock lock(mutex_);
  if (auto sent = send(lock, request, budget.deadline); !sent) {
    return fail(sent.error().during(std::string(method.name)));
  }
  return {};
}

Result<void> Session::notify_soon(const Method& method, Outgoing& request, const CallTime& time) {
  const Budget budget = budget_of(time);
  service::write_header(request.bytes, request_header(Kind::one_way, method, budget.left_ns));
  Lock lock(mutex_);
  if (ended_) return fail(ended_->during(std::string(method.name)));
  if (outbox_bytes_ + request.bytes.size() > most_queued_bytes ||
      outbox_.size() >= most_queued_frames) {
    return fail(ErrorKind::full, {.operation = std::string(method.name),
                                  .cause = channel_.peer_name() + " does not read, and " +
                                           std::to_string(outbox_.size()) + " calls are queued"});
  }
  send_soon(lock, request);
  return {};
}

Result<void> Session::open_stream(PendingCall& pending, const Method& method, Outgoing& request,
                                  const CallTime& time) {
  const Budget budget = budget_of(time);
  FrameHeader header = request_header(Kind::request, method, -1);
  header.credit = stream_window;
  Lock lock(mutex_);
  if (ended_) return fail(ended_->during(std::string(method.name)));
  pending.is_stream = true;
  pending.reply = &pending.own;
  pending.id = header.call = next_call_++;
  pending_.push_back(&pending);
  service::write_header(request.bytes, header);
  if (auto sent = send(lock, request, budget.deadline); !sent) {
    forget(pending);
    return fail(sent.error().during(std::string(method.name)));
  }
  return {};
}

Result<std::optional<Incoming>> Session::next_item(PendingCall& pending, std::string_view method,
                                                   Deadline deadline) {
  Lock lock(mutex_);
  if (auto awaited = await(lock, pending, earlier(deadline, current_deadline())); !awaited) {
    return fail(awaited.error().during(std::string(method)));
  }
  if (!pending.items.empty()) {
    std::optional<Incoming> item{std::move(pending.items.front())};
    pending.items.pop_front();
    return item;
  }
  if (pending.error) return fail(failure(pending, method));
  return std::optional<Incoming>{};
}

void Session::grant(std::uint64_t call, std::uint32_t credit) {
  Lock lock(mutex_);
  send_soon(
      lock,
      FrameHeader{.kind = static_cast<std::uint8_t>(Kind::credit), .credit = credit, .call = call});
}

void Session::drop(PendingCall& pending) noexcept {
  Lock lock(mutex_);
  forget(pending);
  if (pending.done || ended_) return;
  send_soon(lock, FrameHeader{.kind = static_cast<std::uint8_t>(Kind::cancel), .call = pending.id});
}

std::uint64_t Session::start_call(const Method& method, Outgoing& request, Deadline deadline,
                                  Completion completion) {
  FrameHeader header = request_header(Kind::request, method,
                                      deadline.is_never() ? -1 : deadline.remaining().count());
  Lock lock(mutex_);
  if (ended_) {
    const Error error = *ended_;
    lock.unlock();
    completion(fail(error));
    return 0;
  }
  auto pending = std::make_unique<PendingCall>();
  pending->id = header.call = next_call_++;
  pending->completion = std::move(completion);
  pending->reply = &pending->own;
  pending_.push_back(pending.get());
  async_calls_.push_back(std::move(pending));
  service::write_header(request.bytes, header);
  send_soon(lock, request);
  if (pump_) pump_->schedule();
  return header.call;
}

void Session::abandon_call(std::uint64_t id, const Error& error) {
  Lock lock(mutex_);
  PendingCall* pending = find(id);
  if (pending == nullptr || !pending->completion) return;
  send_soon(lock, FrameHeader{.kind = static_cast<std::uint8_t>(Kind::cancel), .call = id});
  pending = find(id);  // the lock was released
  if (pending == nullptr) return;
  pending->error = error;
  pending->done = true;
  complete(lock, *pending);
}

struct StreamSource::State {
  std::shared_ptr<Session> session;
  std::string method;
  PendingCall pending;
  std::uint32_t taken = 0;  // since credit was last given
};

StreamSource::StreamSource() noexcept = default;
StreamSource::StreamSource(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
StreamSource::StreamSource(StreamSource&&) noexcept = default;
StreamSource& StreamSource::operator=(StreamSource&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}
StreamSource::~StreamSource() {
  if (state_) state_->session->drop(state_->pending);
}

Result<std::optional<Incoming>> StreamSource::next(Deadline deadline) {
  if (!state_) {
    return fail(ErrorKind::invalid,
                {.operation = "next", .object = "stream", .cause = "it was moved from"});
  }
  auto item = state_->session->next_item(state_->pending, state_->method, deadline);
  if (item && *item && ++state_->taken == stream_window / 2) {
    state_->session->grant(state_->pending.id, std::exchange(state_->taken, 0));
  }
  return item;
}

Result<StreamSource> open_stream(std::shared_ptr<Session> session, const Method& method,
                                 Outgoing& request, const CallTime& time) {
  auto state = std::make_unique<StreamSource::State>();
  state->session = std::move(session);
  state->method = method.name;
  if (auto opened = state->session->open_stream(state->pending, method, request, time); !opened) {
    state->pending.done = true;
    return fail(std::move(opened).error());
  }
  return StreamSource{std::move(state)};
}

Result<void> call(Session& session, const Method& method, Outgoing& request, const CallTime& time,
                  Incoming& reply) {
  return session.call(method, request, time, reply);
}
Result<void> notify(Session& session, const Method& method, Outgoing& request,
                    const CallTime& time) {
  return session.notify(method, request, time);
}
Result<void> notify_soon(Session& session, const Method& method, Outgoing& request,
                         const CallTime& time) {
  return session.notify_soon(method, request, time);
}
std::uint64_t start_call(Session& session, const Method& method, Outgoing& request,
                         Deadline deadline, Completion completion) {
  return session.start_call(method, request, deadline, std::move(completion));
}
void abandon_call(Session& session, std::uint64_t call, Error error) {
  session.abandon_call(call, error);
}

}  // namespace bulkhead::detail

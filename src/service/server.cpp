// SPDX-License-Identifier: Apache-2.0
//
// The serving half of a Session: requests, their cancellation, and streams that are produced while
// the consumer has room.
#include <algorithm>

#include "service/session.hpp"

#if __cpp_exceptions
#include <exception>
#include <new>
#endif

namespace bulkhead::detail {

using service::FrameHeader;
using service::Kind;

namespace {

// Beyond this many requests that wait for a serving thread, new ones are answered `full`.
constexpr std::size_t most_queued_requests = 4096;
// The same of one-way calls, whose sender waits for nothing; one that is larger only by itself.
constexpr std::size_t most_queued_one_way_bytes = 64 << 20;
// These wait in our memory. More than any honest caller has under way.
constexpr std::size_t most_waiting_refusals = 65'536;
constexpr std::size_t most_spare_requests = 2;
// A larger message's memory is not kept for the next.
constexpr std::size_t most_kept_bytes = 4 * 1024 * 1024;

/// Marks what this thread is serving for as long as it lives.
class Serving {
 public:
  Serving(Session& session, ServedCall& call) noexcept
      : before_(std::exchange(current(), CurrentCall{&session, &call})) {}
  ~Serving() { current() = before_; }
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;

 private:
  CurrentCall before_;
};

Error missing(const Service& service, std::uint64_t method) {
  return Error{ErrorKind::incompatible,
               {.cause = "the peer serves " + std::string(service.interface) +
                         ", which has no such method with these types (fingerprint " +
                         std::to_string(method) + ")",
                .remedy = "build both sides from the same interface"}};
}

std::size_t one_way_bytes(const FrameHeader& header, const Incoming& frame) {
  return header.kind == static_cast<std::uint8_t>(Kind::one_way) ? frame.message.size() : 0;
}

/// Of a one-way call: its arguments do not decode, or there is no such method. A function that
/// returns nothing has no other error of these kinds.
bool is_lie(const Error& error) {
  return error == ErrorKind::corrupt || error == ErrorKind::incompatible;
}

/// Runs the user's function; what it throws becomes an error.
template <class Function> Result<void> guarded(Function&& function) {
#if __cpp_exceptions
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return fail(ErrorKind::exhausted, {.cause = "the serving process ran out of memory"});
  } catch (const std::exception& thrown) {
    return fail(ErrorKind::system, {.cause = std::string("it threw: ") + thrown.what()});
  } catch (...) {
    return fail(ErrorKind::system, {.cause = "it threw something that is not a std::exception"});
  }
#else
  return function();
#endif
}

}  // namespace

CurrentCall& current() noexcept {
  thread_local CurrentCall call;
  return call;
}

Deadline current_deadline() noexcept { return current().call ? current().call->deadline : never; }

bool current_call_cancelled() noexcept {
  const CurrentCall& here = current();
  if (here.call == nullptr) return false;
  return here.session->look_for_cancel(*here.call);
}

bool Session::look_for_cancel(const ServedCall& call) {
  Lock lock(mutex_);
  Incoming buffer;
  for (int i = 0; i < most_frames_a_turn && !receiving_ && !ended_ && !call.cancelled &&
                  receive(lock, buffer, os::no_wait) == Received::something;
       ++i) {
  }
  return call.cancelled || call.deadline.expired();
}

void Session::queue_request(Lock& lock, const FrameHeader& header, Incoming& frame) {
  const std::size_t size = one_way_bytes(header, frame);
  if (requests_.size() >= most_queued_requests ||
      (requests_bytes_ > 0 && requests_bytes_ + size > most_queued_one_way_bytes)) {
    return refuse(lock, header);
  }
  requests_bytes_ += size;
  if (spare_requests_.empty()) spare_requests_.emplace_back();
  Request& request = spare_requests_.front();
  request.header = header;
  std::swap(request.frame, frame);
  // The last user of a finished call lets its memory be used again.
  if (request.call == nullptr || request.call.use_count() > 1) {
    request.call = std::make_shared<ServedCall>();
  }
  ServedCall& call = *request.call;
  call.id = header.call;
  call.credit = std::min(header.credit, stream_window);
  call.cancelled = false;
  call.deadline = header.budget_ns < 0
                      ? never
                      : deadline_in(std::chrono::nanoseconds(header.budget_ns), Whose::servers);
  serving_.push_back(request.call);
  requests_.splice(requests_.end(), spare_requests_, spare_requests_.begin());
  if (waiting_ > 0) changed_.notify_all();
}

void Session::refuse(Lock& lock, const FrameHeader& header) {
  const bool one_way = header.kind != static_cast<std::uint8_t>(Kind::request);
  if (one_way && channel_.trust == Trust::equal) return;
  if (one_way || outbox_.size() >= most_waiting_refusals) {
    return end(lock, Error{ErrorKind::corrupt,
                           {.operation = "receive",
                            .object = "call",
                            .cause = "the peer asks without end and takes no answers"}});
  }
  ServedCall call;
  call.id = header.call;
  Outgoing refusal;
  const Error error{ErrorKind::full, {.cause = "too many calls wait for the peer"}};
  answer(lock, refusal, Kind::reply, call, &error, false);
}

void Session::cancel_served(std::uint64_t id) {
  const auto call = std::find_if(serving_.begin(), serving_.end(),
                                 [&](const auto& served) { return served->id == id; });
  if (call == serving_.end()) return;
  (*call)->cancelled = true;
}

void Session::forget_served(const ServedCall& call) noexcept {
  std::erase_if(serving_, [&](const auto& served) { return served.get() == &call; });
}

void Session::answer(Lock& lock, Outgoing& frame, Kind kind, const ServedCall& call,
                     const Error* error, bool may_wait) {
  if (call.cancelled || ended_) return;
  FrameHeader header{.kind = static_cast<std::uint8_t>(kind), .call = call.id};
  if (error != nullptr) {
    header.flags = service::flag_error;
    frame.bytes.resize(frame_header_bytes);
    frame.handles.clear();
    Error copy = *error;
    static_cast<void>(frame.encoder().put(copy));
  }
  service::write_header(frame.bytes, header);
  if (!may_wait) return send_soon(lock, frame);
  // A caller that does not take its answers by its own deadline has given up on them.
  const auto sent = send(lock, frame, call.deadline);
  if (!sent && error == nullptr && sent.error() != ErrorKind::timed_out && !ended_) {
    answer(lock, frame, kind == Kind::item ? Kind::end : kind, call, &sent.error(), true);
  }
}

void Session::serve_one(Lock& lock, const Service& service, bool may_wait) {
  std::list<Request> one;
  one.splice(one.begin(), requests_, requests_.begin());
  Request& request = one.front();
  requests_bytes_ -= one_way_bytes(request.header, request.frame);
  ServedCall& call = *request.call;
  std::optional<Error> lie;
  if (!call.cancelled) {
    lock.unlock();
    Outgoing out;
    Answer result{out, nullptr};
    const Result<void> outcome = run(service, request, result);
    lock.lock();
    if (request.header.kind == static_cast<std::uint8_t>(Kind::request)) {
      answer(lock, out, Kind::reply, call, outcome ? nullptr : &outcome.error(), may_wait);
    } else if (!outcome && is_lie(outcome.error()) && channel_.trust == Trust::untrusted) {
      lie = outcome.error();
    }
    if (outcome && result.stream && !call.cancelled && !ended_) {
      streams_.push_back({request.call, std::move(result.stream)});
      if (waiting_ > 0) changed_.notify_all();
    } else {
      forget_served(call);
    }
  } else {
    forget_served(call);
  }
  if (request.frame.message.size() > most_kept_bytes) request.frame = Incoming{};
  request.frame.message.clear();
  if (spare_requests_.size() < most_spare_requests) {
    spare_requests_.splice(spare_requests_.begin(), one);
  }
  // Nobody waits for a one-way call and could be told, so what was wrong with it would never be
  // seen: of an untrusted peer it is the end.
  if (lie) end(lock, *lie);
}

Result<void> Session::run(const Service& service, Request& request, Answer& answer) {
  const auto method =
      std::lower_bound(service.methods.begin(), service.methods.end(), request.header.method,
                       [](const ServedMethod& m, std::uint64_t id) { return m.method.id < id; });
  if (method == service.methods.end() || method->method.id != request.header.method) {
    return fail(missing(service, request.header.method));
  }
  const Serving serving{*this, *request.call};
  auto arguments = request.frame.decoder();
  return guarded([&] { return method->body(service.implementation, arguments, answer); });
}

bool Session::can_produce() const noexcept {
  return std::any_of(streams_.begin(), streams_.end(), [](const ProducedStream& stream) {
    return stream.call->credit > 0 || stream.call->cancelled;
  });
}

bool Session::produce_one(Lock& lock, bool may_wait) {
  const auto next =
      std::find_if(streams_.begin(), streams_.end(), [](const ProducedStream& stream) {
        return stream.call->credit > 0 || stream.call->cancelled;
      });
  if (next == streams_.end()) return false;
  // Taken out of the list while the user's generator runs; put back behind the others.
  std::list<ProducedStream> one;
  one.splice(one.begin(), streams_, next);
  ServedCall& call = *one.front().call;
  bool more = false;
  if (!call.cancelled) {
    lock.unlock();
    Outgoing out;
    Result<void> outcome;
    {
      const Serving serving{*this, call};
      outcome = guarded([&]() -> Result<void> {
        auto encoder = out.encoder();
        auto produced = one.front().producer(encoder);
        if (!produced) return fail(std::move(produced).error());
        more = *produced;
        return {};
      });
    }
    lock.lock();
    if (!outcome) more = false;
    if (!more) out.bytes.resize(frame_header_bytes);
    answer(lock, out, more ? Kind::item : Kind::end, call, outcome ? nullptr : &outcome.error(),
           may_wait);
    if (more) --call.credit;
  }
  if (more && !ended_) {
    streams_.splice(streams_.end(), one);
  } else {
    forget_served(call);
    lock.unlock();  // the generator's destructor is the user's code
    one.clear();
    lock.lock();
  }
  return true;
}

Result<void> Session::serve(const Service& service, Deadline deadline) {
  Lock lock(mutex_);
  Incoming buffer;
  while (!ended_) {
    // First: a peer may ask for ever.
    if (deadline.expired()) {
      return fail(ErrorKind::timed_out,
                  {.operation = "serve", .object = std::string(service.interface)});
    }
    if (!requests_.empty()) {
      serve_one(lock, service, true);
    } else if (can_produce()) {
      if (!receiving_) receive(lock, buffer, os::no_wait);
      if (requests_.empty()) produce_one(lock, true);
    } else if (receiving_) {
      wait(lock, deadline);
    } else {
      receive(lock, buffer, deadline);
    }
  }
  if (*ended_ == ErrorKind::closed) return {};
  return fail(ended_->during("serve", std::string(service.interface)));
}

void Session::start_serving(const Service& service,
                            std::move_only_function<void(Result<void>)> ended) {
  Lock lock(mutex_);
  if (ended_) {
    const Error error = *ended_;
    lock.unlock();
    if (error == ErrorKind::closed) {
      ended({});
    } else {
      ended(fail(error));
    }
    return;
  }
  async_service_ = service;
  async_service_ended_ = std::move(ended);
  if (pump_) pump_->schedule();
}

Result<void> serve(Session& session, const Service& service, Deadline deadline) {
  return session.serve(service, deadline);
}
void start_serving(Session& session, const Service& service,
                   std::move_only_function<void(Result<void>)> ended) {
  session.start_serving(service, std::move(ended));
}

}  // namespace bulkhead::detail

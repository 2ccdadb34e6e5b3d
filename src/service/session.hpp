// SPDX-License-Identifier: Apache-2.0
//
// Session: the one conversation on a channel. It multiplexes calls of many threads, and of an event
// loop, in both directions.
//
// The receiving role: at any moment at most one thread receives from the channel, for everybody:
// the first that has to wait takes the role, routes what arrives to whom it concerns, and gives the
// role up when its own wait ends; who still waits is woken and one of them takes it. The event
// loop's pump is one of the candidates. Sending is one thread at a time, too.
//
// One mutex guards all state; it is never held during a system call or a user's function: functions
// that take a Lock release it for those and hold it again when they return.
// Lifetime: a Session is owned by its ChannelState and refers back to it; users hold a pointer
// that keeps the ChannelState alive.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <deque>
#include <list>
#include <mutex>
#include <string>
#include <vector>

#include <bulkhead/detail/service/session.hpp>

#include "channel/channel_state.hpp"
#include "service/frame.hpp"

namespace bulkhead::detail {

/// `left` from now. For a second and more by the kernel's coarse clock, which costs a quarter of the
/// exact one and is behind it by up to its tick (10 ms at most, clock_getres(2)). So a caller's
/// deadline is late by that much at most and never early, and a server's is never late.
enum class Whose : std::uint8_t { callers, servers };
inline Deadline deadline_in(std::chrono::nanoseconds left, Whose whose) noexcept {
  if (left < std::chrono::seconds(1)) return left;
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  const auto tick = std::chrono::milliseconds(whose == Whose::callers ? 10 : 0);
  const auto since =
      std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec) + tick;
  if (left >= std::chrono::nanoseconds::max() - since) return never;
  return Deadline{Deadline::Clock::time_point{since + left}};
}

/// How many values of a stream may be under way.
inline constexpr std::uint32_t stream_window = 32;
/// What may be queued for a peer that does not read, before one-way calls are refused.
inline constexpr std::size_t most_queued_bytes = 16 << 20;
inline constexpr std::size_t most_queued_frames = 16384;
/// Frames taken in between two looks at a deadline: a peer may send for ever.
inline constexpr int most_frames_a_turn = 256;

/// A call under way, at its caller: on the caller's stack, in a stream, or (async) in async_calls_.
struct PendingCall {
  std::uint64_t id = 0;
  bool is_stream = false;
  bool done = false;           ///< a reply, a stream's end or a failure is there
  std::optional<Error> error;  ///< how it failed
  Incoming* reply = nullptr;   ///< where the reply goes: the caller's, or `own`
  Incoming own;
  std::list<Incoming> items;  ///< a stream's values that were not taken yet
  Completion completion;      ///< async: called instead of waking a thread

  bool ready() const noexcept { return done || !items.empty(); }
};

/// A call under way, at its server.
struct ServedCall {
  std::uint64_t id = 0;
  Deadline deadline = never;
  std::uint64_t credit = 0;  ///< items that the consumer still has room for
  std::atomic<bool> cancelled{false};
};

/// A stream that this side produces.
struct ProducedStream {
  std::shared_ptr<ServedCall> call;
  StreamProducer producer;
};

class Session {
 public:
  explicit Session(ChannelState& channel) : channel_(channel) {}
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Calling (client.cpp).
  Result<void> call(const Method& method, Outgoing& request, const CallTime& time, Incoming& reply);
  Result<void> notify(const Method& method, Outgoing& request, const CallTime& time);
  Result<void> notify_soon(const Method& method, Outgoing& request, const CallTime& time);
  Result<void> open_stream(PendingCall& pending, const Method& method, Outgoing& request,
                           const CallTime& time);
  Result<std::optional<Incoming>> next_item(PendingCall& pending, std::string_view method,
                                            Deadline deadline);
  void grant(std::uint64_t call, std::uint32_t credit);
  void drop(PendingCall& pending) noexcept;
  std::uint64_t start_call(const Method& method, Outgoing& request, Deadline deadline,
                           Completion completion);
  void abandon_call(std::uint64_t id, const Error& error);

  // Serving (server.cpp).
  Result<void> serve(const Service& service, Deadline deadline);
  void start_serving(const Service& service, std::move_only_function<void(Result<void>)> ended);
  /// Takes in what has arrived, so that a cancellation among it is seen.
  bool look_for_cancel(const ServedCall& call);

  // The event loop (pump.cpp).
  bool has_pump();
  void attach_pump(std::shared_ptr<Pump> pump);
  PumpState pump();

 private:
  using Lock = std::unique_lock<std::mutex>;

  FdView readable(Lock& lock);
  FdView writable(Lock& lock);
  void wake_missed_pump();

  struct Request {
    service::FrameHeader header{};
    Incoming frame{};
    std::shared_ptr<ServedCall> call{};
  };

  // The channel, shared (session.cpp).
  Result<void> send_now(Bytes bytes, std::span<Handle> handles, Deadline deadline);
  /// Waits for the right to send, and takes it.
  Result<void> begin_sending(Lock& lock, Deadline deadline);
  Result<void> send(Lock& lock, Outgoing& frame, Deadline deadline);
  void send_soon(Lock& lock, Outgoing& frame);
  void send_soon(Lock& lock, const service::FrameHeader& header);
  bool flush_outbox(Lock& lock);
  bool wait(Lock& lock, Deadline deadline);
  enum class Received { something, nothing };
  /// Takes the role, receives one frame into `buffer` and routes it, gives the role up.
  Received receive(Lock& lock, Incoming& buffer, Deadline deadline);
  void route(Lock& lock, Incoming& frame);
  void route_answer(Lock& lock, const service::FrameHeader& header, Incoming& frame);
  void end(Lock& lock, const Error& error);

  Result<void> await(Lock& lock, PendingCall& pending, Deadline deadline);
  Error failure(const PendingCall& pending, std::string_view method) const;
  PendingCall* find(std::uint64_t id) noexcept;
  void forget(const PendingCall& pending) noexcept;
  void complete(Lock& lock, PendingCall& pending);

  void queue_request(Lock& lock, const service::FrameHeader& header, Incoming& frame);
  void refuse(Lock& lock, const service::FrameHeader& header);
  void cancel_served(std::uint64_t id);
  void serve_one(Lock& lock, const Service& service, bool may_wait);
  Result<void> run(const Service& service, Request& request, Answer& answer);
  bool produce_one(Lock& lock, bool may_wait);
  void answer(Lock& lock, Outgoing& frame, service::Kind kind, const ServedCall& call,
              const Error* error, bool may_wait);
  void forget_served(const ServedCall& call) noexcept;
  bool can_produce() const noexcept;

  ChannelState& channel_;
  std::mutex mutex_;
  std::condition_variable changed_;  ///< a reply, a free role, a request, the end
  int waiting_ = 0;                  ///< threads in changed_
  bool receiving_ = false;
  bool sending_ = false;
  std::optional<Error> ended_;

  std::uint64_t next_call_ = 1;
  std::vector<PendingCall*> pending_;
  std::list<std::unique_ptr<PendingCall>> async_calls_;

  // Lists, of which used nodes are kept: a call that is served allocates nothing.
  std::list<Request> requests_;
  std::size_t requests_bytes_ = 0;  // of those that are one-way
  std::list<Request> spare_requests_;
  std::vector<std::shared_ptr<ServedCall>> serving_;
  std::list<ProducedStream> streams_;

  /// A frame that must not wait and found no room.
  struct Waiting {
    Message frame;
    std::size_t done = 0;  ///< bytes of it that have gone already
  };
  std::deque<Waiting> outbox_;
  std::size_t outbox_bytes_ = 0;
  std::shared_ptr<Pump> pump_;
  bool retry_soon_ = false;   ///< what stands in the way passes without a sign
  bool pump_missed_ = false;  ///< it found a role taken, and is to be run when that is given up
  std::optional<Service> async_service_;
  std::move_only_function<void(Result<void>)> async_service_ended_;
};

/// What this thread is serving; both null outside of a call.
struct CurrentCall {
  Session* session = nullptr;
  ServedCall* call = nullptr;
};
CurrentCall& current() noexcept;

}  // namespace bulkhead::detail

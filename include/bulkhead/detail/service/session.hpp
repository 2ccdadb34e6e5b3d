// SPDX-License-Identifier: Apache-2.0
//
// What the templates of the service layer know of a Session: the one conversation that lives on a
// Channel and carries calls in both directions. The type itself is private (src/service/).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <bulkhead/channel.hpp>
#include <bulkhead/detail/export.hpp>
#include <bulkhead/wire.hpp>

namespace bulkhead::detail {

class Session;
struct StreamAccess;

/// One method of an interface. `id` is the fingerprint of its name and wire shape.
struct Method {
  std::string_view interface;
  std::string_view name;
  std::uint64_t id;
};

/// The session of a channel, made at the first use. The reference keeps working on a channel that
/// its owner has closed: calls then return `closed`.
BULKHEAD_API std::shared_ptr<Session> session_of(Channel& channel);
/// The same, and the session keeps the channel open.
BULKHEAD_API std::shared_ptr<Session> session_of(Channel&& channel);

/// Room in front of every encoded payload for the frame's header.
inline constexpr std::size_t frame_header_bytes = 32;

/// A message being built. Uses the thread's buffer again from call to call.
class BULKHEAD_API Outgoing {
 public:
  Outgoing();
  ~Outgoing();
  Outgoing(const Outgoing&) = delete;
  Outgoing& operator=(const Outgoing&) = delete;

  wire::Encoder encoder() { return wire::Encoder{bytes, &handles}; }

  std::vector<std::byte> bytes;
  std::vector<Handle> handles;
};

/// A received frame, of which the header has been read.
class Incoming {
 public:
  wire::Decoder decoder() {
    return wire::Decoder{message.bytes().subspan(frame_header_bytes), message.handles(), trust};
  }

  Message message;
  Trust trust = Trust::untrusted;
};

/// How long a call may take: so long from its start, or until a point that `within` has set; and in
/// either case no longer than the call that this thread is serving.
struct CallTime {
  std::chrono::nanoseconds each = std::chrono::seconds(5);
  std::optional<Deadline> until;
};

BULKHEAD_API Result<void> call(Session& session, const Method& method, Outgoing& request,
                               const CallTime& time, Incoming& reply);
BULKHEAD_API Result<void> notify(Session& session, const Method& method, Outgoing& request,
                                 const CallTime& time);

/// The consuming end of a stream of frames.
class BULKHEAD_API StreamSource {
 public:
  struct State;

  StreamSource() noexcept;
  explicit StreamSource(std::unique_ptr<State> state) noexcept;
  StreamSource(StreamSource&&) noexcept;
  StreamSource& operator=(StreamSource&&) noexcept;
  ~StreamSource();  // cancels what has not ended

  Result<std::optional<Incoming>> next(Deadline deadline);

 private:
  std::unique_ptr<State> state_;
};
BULKHEAD_API Result<StreamSource> open_stream(std::shared_ptr<Session> session,
                                              const Method& method, Outgoing& request,
                                              const CallTime& time);

/// Encodes one value into the encoder; false when there is none left.
using StreamProducer = std::move_only_function<Result<bool>(wire::Encoder&)>;

/// What a served method leaves: its encoded result, and the stream it opened.
struct Answer {
  Outgoing& out;
  StreamProducer stream;
};

/// Decodes arguments, calls the method, encodes the result. An error is the method's own, or the
/// decoding's.
using MethodBody = Result<void> (*)(void* implementation, wire::Decoder& arguments, Answer& answer);

struct ServedMethod {
  Method method;
  MethodBody body;
  bool answers;  ///< false for a one-way method
};

/// An implementation with its methods, sorted by id.
struct Service {
  std::string_view interface;
  std::span<const ServedMethod> methods;
  void* implementation;
};

/// Serves until the peer closes; errors when it died or broke the protocol.
BULKHEAD_API Result<void> serve(Session& session, const Service& service, Deadline deadline);

/// The deadline of the call that this thread is serving; never outside of one.
BULKHEAD_API Deadline current_deadline() noexcept;
/// The caller of what this thread serves has cancelled, timed out or gone.
BULKHEAD_API bool current_call_cancelled() noexcept;

/// For calls that complete in an event loop: see detail/service/asio.hpp.
using Completion = std::move_only_function<void(Result<Incoming>)>;

/// Wakes the event loop's part of a session when there is something for it to do.
struct Pump {
  virtual ~Pump() = default;
  /// From any thread: run pump() soon, in the event loop.
  virtual void schedule() = 0;
  /// Its event loop still exists.
  virtual bool alive() = 0;
};

/// Sends the request and completes later, in whichever thread receives. The number by which it can
/// be abandoned; 0 when it has failed and completed at once.
BULKHEAD_API std::uint64_t start_call(Session& session, const Method& method, Outgoing& request,
                                      Deadline deadline, Completion completion);
/// A one-way call from an event loop: sent, or queued for the pump when there is no room. `full` when
/// too much is queued already; never waits.
BULKHEAD_API Result<void> notify_soon(Session& session, const Method& method, Outgoing& request,
                                      const CallTime& time);
/// Completes the call with `error` unless it has completed; tells the peer.
BULKHEAD_API void abandon_call(Session& session, std::uint64_t call, Error error);

/// Whether a pump is still wanted, and for what.
struct PumpState {
  bool wanted = false;           ///< calls, or a service, wait for what the peer sends
  bool blocked_on_send = false;  ///< frames wait for room
  bool retry_soon = false;       ///< for what no descriptor tells
  FdView readable;
  FdView writable;
};
BULKHEAD_API bool has_pump(Session& session);
/// Gives the session its pump, unless it has one that is alive.
BULKHEAD_API void attach_pump(Session& session, std::shared_ptr<Pump> pump);
/// Receives and sends what is possible without waiting.
BULKHEAD_API PumpState pump(Session& session);
/// Serves within the event loop; `ended` runs once, when the peer has closed or died.
BULKHEAD_API void start_serving(Session& session, const Service& service,
                                std::move_only_function<void(Result<void>)> ended);

}  // namespace bulkhead::detail

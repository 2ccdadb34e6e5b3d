// SPDX-License-Identifier: Apache-2.0
//
// Calls and services inside an Asio event loop: the async_ forms of Remote, and async_serve. Brought
// by <bulkhead/asio.hpp>.
//
// Completions run on the handler's associated executor, never inside the initiating call. A call
// keeps its event loop busy until it completes; it completes with `timed_out` by its deadline and
// with `cancelled` through its cancellation slot, and the peer is told in both cases.
//
// Lifetimes: channel and event loop may go in any order. Whatever is made of Asio's parts is owned
// by the loop (by the handler of a wait in it) and goes with it at the latest; a session refers to
// it weakly, and a pump learns from LoopEnd that its loop has gone.
#pragma once

#include <algorithm>
#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/execution_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/query.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <asio/system_executor.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include <bulkhead/service.hpp>

namespace bulkhead::detail {

/// Watches a session's descriptors and runs its pump when they are ready.
class AsioPump final : public Pump, public std::enable_shared_from_this<AsioPump> {
 public:
  AsioPump(const asio::any_io_executor& executor, std::weak_ptr<Session> session)
      : session_(std::move(session)), parts_(std::in_place, executor) {}

  void schedule() override {
    const std::lock_guard guard(mutex_);
    if (!parts_ || std::exchange(scheduled_, true)) return;
    asio::post(parts_->strand, [self = shared_from_this()] { self->run(); });
  }
  bool alive() override {
    const std::lock_guard guard(mutex_);
    return parts_.has_value();
  }
  /// The loop ends: nothing of it may be touched from now on.
  void loop_ends() {
    const std::lock_guard guard(mutex_);
    parts_.reset();
  }

 private:
  using Strand = asio::strand<asio::any_io_executor>;
  struct Watch {
    explicit Watch(const Strand& strand) : descriptor(strand) {}
    asio::posix::stream_descriptor descriptor;
    bool waiting = false;
  };
  struct Parts {
    explicit Parts(const asio::any_io_executor& executor)
        : strand(asio::make_strand(executor)), readable(strand), writable(strand), timer(strand) {}
    Strand strand;
    Watch readable;
    Watch writable;
    asio::steady_timer timer;
  };

  void run() {
    {
      const std::lock_guard guard(mutex_);
      scheduled_ = false;
    }
    PumpState state;
    if (const auto session = session_.lock()) state = pump(*session);
    const std::lock_guard guard(mutex_);
    if (!parts_) return;
    watch(parts_->readable, state.wanted, state.readable);
    watch(parts_->writable, state.blocked_on_send, state.writable);
    if (state.retry_soon) retry_later();
  }

  // Both descriptors poll readable: they are epoll descriptors over the channel's own.
  void watch(Watch& watch, bool wanted, FdView fd) {
    if (!wanted || !fd) {
      if (watch.descriptor.is_open()) watch.descriptor.cancel();
      return;
    }
    if (watch.waiting) return;
    if (!watch.descriptor.is_open()) {
      auto copy = Fd::duplicate(fd);
      if (!copy) return retry_later();
      watch.descriptor.assign(copy->release());
    }
    watch.waiting = true;
    watch.descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                [self = shared_from_this(), &watch](const std::error_code&) {
                                  {
                                    const std::lock_guard guard(self->mutex_);
                                    if (!self->parts_) return;
                                    watch.waiting = false;
                                  }
                                  self->run();
                                });
  }

  // No free descriptor: others may be closed meanwhile.
  void retry_later() {
    parts_->timer.expires_after(std::chrono::milliseconds(10));
    parts_->timer.async_wait([self = shared_from_this()](const std::error_code&) { self->run(); });
  }

  std::mutex mutex_;
  std::weak_ptr<Session> session_;
  bool scheduled_ = false;
  std::optional<Parts> parts_;
};

/// Tells the pumps of an event loop when it ends.
class LoopEnd final : public asio::execution_context::service {
 public:
  using key_type = LoopEnd;
  static inline asio::execution_context::id id;

  explicit LoopEnd(asio::execution_context& context) : service(context) {}

  void add(const std::shared_ptr<AsioPump>& pump) {
    const std::lock_guard guard(mutex_);
    std::erase_if(pumps_, [](const auto& known) { return known.expired(); });
    pumps_.push_back(pump);
  }

 private:
  void shutdown() override {
    for (const auto& known : std::exchange(pumps_, {})) {
      if (const auto pump = known.lock()) pump->loop_ends();
    }
  }

  std::mutex mutex_;
  std::vector<std::weak_ptr<AsioPump>> pumps_;
};

/// The session's pump, in the event loop that first asked for one.
inline void need_pump(const std::shared_ptr<Session>& session,
                      const asio::any_io_executor& executor) {
  if (has_pump(*session)) return;
  auto pump = std::make_shared<AsioPump>(executor, session);
  asio::use_service<LoopEnd>(asio::query(executor, asio::execution::context)).add(pump);
  attach_pump(*session, std::move(pump));
}

template <class Handler> asio::any_io_executor executor_of(const Handler& handler) {
  using Executor = asio::associated_executor_t<Handler>;
  static_assert(!std::is_same_v<Executor, asio::system_executor>,
                "the completion handler needs an event loop: asio::use_awaitable inside one, or "
                "asio::bind_executor(context, token)");
  return asio::get_associated_executor(handler);
}

/// A handler that waits in its event loop for a result from outside: owned by the handler of a
/// timer there, which is the deadline too.
template <class Handler, class Outcome>
class Awaiting : public std::enable_shared_from_this<Awaiting<Handler, Outcome>> {
 public:
  explicit Awaiting(Handler handler)
      : executor_(executor_of(handler)), timer_(executor_), handler_(std::move(handler)) {}

  /// `late` runs in the loop when the deadline comes before the outcome.
  void wait_until(Deadline deadline, std::function<void()> late) {
    const std::lock_guard guard(mutex_);
    timer_.expires_at(deadline.at());
    timer_.async_wait([self = this->shared_from_this(), late](const std::error_code& error) {
      if (error) return;
      self->wait_until(never, nullptr);  // for the outcome that `late` brings about
      late();
    });
  }

  /// From any thread.
  template <class Make> void complete(Make make) {
    asio::post(executor_, [self = this->shared_from_this(), make = std::move(make)]() mutable {
      Handler handler = std::move(self->handler_);
      {
        const std::lock_guard guard(self->mutex_);
        self->timer_.cancel();
      }
      self.reset();
      handler(Outcome{make()});
    });
  }

  const Handler& handler() const noexcept { return handler_; }
  const asio::any_io_executor& executor() const noexcept { return executor_; }

 private:
  asio::any_io_executor executor_;
  std::mutex mutex_;
  asio::steady_timer timer_;
  Handler handler_;
};

/// The number of an asynchronous call, and what was wished for it before it had one.
class AsioCall : public std::enable_shared_from_this<AsioCall> {
 public:
  AsioCall(std::weak_ptr<Session> session, std::string_view method)
      : session_(std::move(session)), method_(method) {}

  void started(std::uint64_t call) {
    std::optional<ErrorKind> wish;
    {
      const std::lock_guard guard(mutex_);
      call_ = call;
      wish = wish_;
    }
    if (wish) abandon(*wish);
  }

  void abandon(ErrorKind kind) {
    std::uint64_t call = 0;
    {
      const std::lock_guard guard(mutex_);
      wish_ = kind;
      call = call_;
    }
    const auto session = session_.lock();
    if (call == 0 || !session) return;
    abandon_call(*session, call, Error{kind, {.operation = std::string(method_)}});
  }

 private:
  std::weak_ptr<Session> session_;
  std::string_view method_;
  std::mutex mutex_;
  std::uint64_t call_ = 0;
  std::optional<ErrorKind> wish_;
};

template <class Tag, class Outcome, class Handler>
void start_async_call(Handler handler, const RemoteState& target, Outgoing& request) {
  using Waiting = Awaiting<Handler, Outcome>;
  auto waiting = std::make_shared<Waiting>(std::move(handler));
  auto control = std::make_shared<AsioCall>(target.session, Tag::name);
  const Deadline deadline = earlier(
      target.time.until ? *target.time.until : Deadline{target.time.each}, current_deadline());
  need_pump(target.session, waiting->executor());
  if (auto slot = asio::get_associated_cancellation_slot(waiting->handler()); slot.is_connected()) {
    slot.assign([control](asio::cancellation_type) { control->abandon(ErrorKind::cancelled); });
  }
  waiting->wait_until(deadline, [control] { control->abandon(ErrorKind::timed_out); });
  const auto replied = [weak = std::weak_ptr<Waiting>(waiting)](Result<Incoming> reply) {
    const auto alive = weak.lock();
    if (!alive) return;  // the event loop has gone
    alive->complete([reply = std::move(reply)]() mutable -> Outcome {
      using T = typename Outcome::value_type;
      if (!reply) return fail(reply.error().during(std::string(Tag::name)));
      auto value = decode_result<T>(*reply);
      if (!value) return fail(value.error().during(std::string(Tag::name)));
      return value;
    });
  };
  control->started(
      start_call(*target.session, SignedMethod<Tag>::method, request, deadline, replied));
}

template <class Tag, class Self, class Token, class... A>
auto async_call_method(const Self& remote, Token&& token, A&... arguments) {
  using R = typename SignedMethod<Tag>::Return;
  using Outcome = RemoteResult<R>;
  static_assert(!is_stream<Value<R>>, "open a stream with the blocking form: it does not wait");
  auto request = std::make_unique<Outgoing>();
  auto encoded = encode_arguments(*request, arguments...);
  return asio::async_initiate<Token, void(Outcome)>(
      [](auto handler, std::unique_ptr<Outgoing> out, Result<void> ready, RemoteState target) {
        if (ready && !SignedMethod<Tag>::one_way) {
          return start_async_call<Tag, Outcome>(std::move(handler), target, *out);
        }
        auto waiting = std::make_shared<Awaiting<decltype(handler), Outcome>>(std::move(handler));
        if (ready) {
          need_pump(target.session, waiting->executor());
          ready = notify_soon(*target.session, SignedMethod<Tag>::method, *out, target.time);
        }
        waiting->complete([ready = std::move(ready)]() -> Outcome {
          if (!ready) return fail(ready.error().during(std::string(Tag::name)));
          if constexpr (std::is_void_v<Value<R>>) return {};
          return fail(ErrorKind::invalid);
        });
      },
      token, std::move(request), std::move(encoded), RemoteAccess::state(remote));
}

}  // namespace bulkhead::detail

namespace bulkhead {

/// serve() inside an event loop: the implementation's functions run there, one at a time, and must
/// not block it. `implementation` is borrowed until completion. Completion signature
/// void(Result<void>): when the peer has closed (success), died or broken the protocol.
template <class Interface, class Implementation, class Token>
auto async_serve(Channel& channel, Implementation& implementation, Token&& token) {
  using Methods = typename detail::InterfaceOf<Interface>::template Served<Implementation>;
  return asio::async_initiate<Token, void(Result<void>)>(
      // Captured, not passed: GCC 12 warns of an empty closure in bind_executor as uninitialised.
      [served = std::addressof(implementation)](auto handler,
                                                std::shared_ptr<detail::Session> session) {
        using Waiting = detail::Awaiting<decltype(handler), Result<void>>;
        auto waiting = std::make_shared<Waiting>(std::move(handler));
        detail::need_pump(session, waiting->executor());
        waiting->wait_until(never, nullptr);
        const detail::Service service{.interface = detail::InterfaceOf<Interface>::name,
                                      .methods = Methods::table,
                                      .implementation = served};
        detail::start_serving(*session, service,
                              [weak = std::weak_ptr<Waiting>(waiting)](Result<void> outcome) {
                                if (const auto alive = weak.lock()) {
                                  alive->complete([outcome] { return outcome; });
                                }
                              });
      },
      token, detail::session_of(channel));
}

}  // namespace bulkhead

// SPDX-License-Identifier: Apache-2.0
//
// The async_ forms of Channel, Listener, Process and Future, for Asio. The one public header that needs
// Asio's executors and I/O objects; include it where an async_ form is used, and nowhere else.
//
//   asio::awaitable<void> answer(Channel& channel) {
//     const Deadline deadline = 5s;
//     Result<Message> question = co_await channel.async_receive(deadline, asio::use_awaitable);
//
// Any completion token does. The completion runs on the executor that is associated with the
// handler, never inside the initiating call, and that executor's context does the waiting: there is
// no thread of the library's. A plain callback has no such executor: asio::bind_executor gives it.
// Threads: as the Channel: one operation a direction at a time. Cancellation by the handler's slot
// ends it with `cancelled`; nothing is lost or half sent by that. Closing or destroying the Channel
// or Listener ends it with `closed`.
// GCC 12: no braces inside a co_await expression; name the arguments first.
#pragma once

#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/dispatch.hpp>
#include <asio/error_code.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/basic_stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <asio/system_executor.hpp>
#include <asio/use_awaitable.hpp>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <bulkhead/channel.hpp>
#include <bulkhead/detail/channel/async_work.hpp>
#include <bulkhead/detail/process_work.hpp>
#include <bulkhead/listener.hpp>
#include <bulkhead/pool.hpp>
#include <bulkhead/process.hpp>

namespace bulkhead::detail {

/// One operation under way. A strand of its own orders readiness, time and cancellation, so that
/// the handler's executor may be a pool of threads.
// TODO(perf): keep the descriptor registered between operations on one context.
template <class Work, class Handler>
class Operation : public std::enable_shared_from_this<Operation<Work, Handler>> {
 public:
  using Outcome = Result<typename Work::Value>;
  using Executor = asio::associated_executor_t<Handler>;
  static_assert(!std::is_same_v<Executor, asio::system_executor>,
                "this handler has no executor to run on: use asio::bind_executor(io, handler)");

  Operation(Work work, Deadline deadline, Handler handler)
      : work_(std::move(work)),
        deadline_(deadline),
        handler_(std::move(handler)),
        executor_(asio::get_associated_executor(handler_)),
        strand_(asio::make_strand(executor_)),
        descriptor_(strand_),
        timer_(strand_) {}

  void start() {
    auto slot = asio::get_associated_cancellation_slot(handler_);
    if (slot.is_connected()) {
      slot.assign([weak = this->weak_from_this()](asio::cancellation_type) {
        if (auto self = weak.lock()) {
          asio::post(self->strand_, [self] { self->give_up(ErrorKind::cancelled); });
        }
      });
    }
    asio::post(strand_, [self = this->shared_from_this()] { self->begin(); });
  }

 private:
  static bool is_later(const Error& error) {
    return error == ErrorKind::empty || error == ErrorKind::full;
  }

  /// True when the outcome is known.
  bool attempt() {
    Outcome outcome = work_.attempt();
    if (!outcome && is_later(outcome.error())) return false;
    finish(std::move(outcome));
    return true;
  }

  void begin() {
    if (finished_ || attempt()) return;
    if (deadline_.expired()) return give_up(ErrorKind::timed_out);
    auto watched = work_.watch();
    if (!watched) return finish(fail(std::move(watched).error()));
    auto copy = Fd::duplicate(*watched);
    if (!copy) return finish(fail(std::move(copy).error()));
    asio::error_code failed;
    descriptor_.assign(copy->native(), failed);
    if (failed) {
      return finish(
          fail(Error::from_errno(failed.value(), {.operation = "watch", .object = "channel"})));
    }
    static_cast<void>(copy->release());
    if (attempt()) return;  // once more: what came before the first look at the descriptor
    if (!deadline_.is_never()) {
      timer_.expires_at(deadline_.at());
      timer_.async_wait([self = this->shared_from_this()](asio::error_code error) {
        if (!error) self->give_up(ErrorKind::timed_out);
      });
    }
    wait();
  }

  void wait() {
    descriptor_.async_wait(Descriptor::wait_read,
                           [self = this->shared_from_this()](asio::error_code error) {
                             if (self->finished_) return;
                             if (error) return self->give_up(ErrorKind::cancelled);
                             if (!self->attempt()) self->wait();
                           });
  }

  void give_up(ErrorKind why) {
    if (!finished_) finish(fail(work_.give_up(why)));
  }

  void finish(Outcome outcome) {
    finished_ = true;
    timer_.cancel();
    asio::error_code ignored;
    if (descriptor_.is_open()) descriptor_.close(ignored);
    asio::dispatch(executor_,
                   [self = this->shared_from_this(), outcome = std::move(outcome)]() mutable {
                     auto slot = asio::get_associated_cancellation_slot(self->handler_);
                     if (slot.is_connected()) slot.clear();
                     Handler handler = std::move(self->handler_);
                     self.reset();
                     std::move(handler)(std::move(outcome));
                   });
  }

  using Strand = asio::strand<Executor>;
  using Descriptor = asio::posix::basic_stream_descriptor<Strand>;
  using Clock = Deadline::Clock;

  Work work_;
  const Deadline deadline_;
  Handler handler_;
  Executor executor_;
  Strand strand_;
  Descriptor descriptor_;
  asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Strand> timer_;
  bool finished_ = false;
};

template <class Work, class Token>
auto start_operation(Work work, Deadline deadline, Token&& token) {
  return asio::async_initiate<Token, void(Result<typename Work::Value>)>(
      [deadline](auto handler, Work moved) {
        using Handler = std::decay_t<decltype(handler)>;
        std::make_shared<Operation<Work, Handler>>(std::move(moved), deadline, std::move(handler))
            ->start();
      },
      token, std::move(work));
}

}  // namespace bulkhead::detail

namespace bulkhead {

template <class Token> auto Channel::async_receive(Deadline deadline, Token&& token) {
  return detail::start_operation(detail::Receiving{*this}, deadline, std::forward<Token>(token));
}

template <class Token> auto Channel::async_send(Message message, Deadline deadline, Token&& token) {
  return detail::start_operation(detail::Sending{*this, std::move(message)}, deadline,
                                 std::forward<Token>(token));
}

template <class Token> auto Listener::async_accept(Deadline deadline, Token&& token) {
  return detail::start_operation(detail::Accepting{*this}, deadline, std::forward<Token>(token));
}

template <class Token> auto Process::async_wait(Token&& token) {
  return detail::start_operation(detail::Ending{*this}, never, std::forward<Token>(token));
}

template <class T> template <class Token> auto Future<T>::async_get(Token&& token) {
  return detail::start_operation(detail::FutureWork<T>{*this}, never, std::forward<Token>(token));
}

template <auto Function, class Range>
template <class Token>
auto Map<Function, Range>::async_next(Token&& token) {
  return detail::start_operation(detail::MapWork<Function, Range>{*this}, never,
                                 std::forward<Token>(token));
}

}  // namespace bulkhead

#include <bulkhead/detail/service/asio.hpp>

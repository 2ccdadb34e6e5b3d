// SPDX-License-Identifier: Apache-2.0
#include "transport/tcp_reconnect.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "os/condition.hpp"
#include "os/poll.hpp"
#include "os/signal_fd.hpp"
#include "os/syscall.hpp"
#include "transport/aside.hpp"
#include "transport/udp_cookie.hpp"

namespace bulkhead::transport {
namespace {

using namespace std::chrono_literals;
using Clock = Deadline::Clock;

constexpr Clock::duration first_pause = 10ms;
constexpr Clock::duration longest_pause = 2s;

/// The pauses between attempts.
class Backoff {
 public:
  void begin() noexcept {
    pause_ = first_pause;
    next_ = Clock::now();
  }
  void failed() {
    const auto noise = random_value<std::uint32_t>().value_or(0);
    next_ = Clock::now() + pause_ / 2 + (pause_ / 2 * (noise % 1024)) / 1024;
    pause_ = std::min(2 * pause_, longest_pause);
  }
  Deadline next() const noexcept { return Deadline{next_}; }

 private:
  Clock::duration pause_ = first_pause;
  Clock::time_point next_ = Clock::now();
};

/// Whether a failed attempt may go better later.
bool may_pass(const Error& error) {
  return error == ErrorKind::not_found || error == ErrorKind::timed_out ||
         error == ErrorKind::empty || error == ErrorKind::system || error == ErrorKind::peer_died;
}

/// What waits outside for one half: the descriptor of the present connection or, while there is
/// none, what makes one: the attempt under way, or the time of the next.
class Watch {
 public:
  Result<FdView> open() {
    if (epoll_) return epoll_.view();
    Fd epoll = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
    timer_ = Fd::adopt(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!epoll || !timer_) return os::failed("make", "epoll descriptor");
    epoll_ = std::move(epoll);
    add(timer_, EPOLLIN);
    return epoll_.view();
  }
  bool is_open() const noexcept { return static_cast<bool>(epoll_); }
  /// Nothing but this one, and the timer. An attempt that has become a connection, and a connection
  /// that somebody still holds, are not to be waited for any more.
  void turn_to(FdView fd, std::uint32_t events) noexcept {
    if (!epoll_) return;
    if (turned_to_ >= 0) ::epoll_ctl(epoll_.native(), EPOLL_CTL_DEL, turned_to_, nullptr);
    turned_to_ = fd.native();
    if (fd) add(fd, events);
  }
  /// It becomes ready then; `never`: not again.
  void ring_at(Deadline when) noexcept {
    if (!epoll_) return;
    itimerspec spec{};
    if (!when.is_never()) {
      const auto left = std::max<long>(when.remaining().count(), 1);
      spec.it_value = {.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
    }
    ::timerfd_settime(timer_.native(), 0, &spec, nullptr);
  }

 private:
  void add(FdView fd, std::uint32_t events) noexcept {
    epoll_event event{.events = events, .data = {.u64 = 0}};
    ::epoll_ctl(epoll_.native(), EPOLL_CTL_ADD, fd.native(), &event);
  }

  Fd epoll_;
  Fd timer_;
  int turned_to_ = -1;
};

class LastingLink final : public LinkWithoutMemory {
 public:
  LastingLink(TcpCaller caller, std::chrono::milliseconds reconnect, const ChannelOptions& options,
              const TcpSettings& settings)
      : caller_(std::move(caller)), reconnect_(reconnect), options_(options), settings_(settings) {}
  ~LastingLink() override { close(); }

  Result<void> connect(Deadline deadline) {
    std::unique_lock lock{mutex_};
    give_up_ = never;
    auto made = make(lock, deadline);
    if (made || made.error() != ErrorKind::timed_out || !last_failure_) return made;
    return fail(*last_failure_);  // says more than that it took too long
  }

  Result<void> send(Bytes bytes, std::span<Handle> handles, Deadline deadline) override {
    const auto link = BULKHEAD_TRY(use(sending_, deadline));
    return judged(sending_, link, link->send(bytes, handles, deadline));
  }
  Result<void> send_part(Bytes bytes, std::span<Handle> handles, std::size_t& done) override {
    const auto link = BULKHEAD_TRY(use(sending_, no_wait));
    if (done == 0) part_of_ = link;
    if (part_of_ != link) return fail(ErrorKind::peer_died, {.cause = "its first part is lost"});
    auto sent = judged(sending_, link, link->send_part(bytes, handles, done));
    if (sent) part_of_.reset();
    return sent;
  }
  void abort_part(std::size_t done) noexcept override {
    if (const auto link = std::exchange(part_of_, nullptr)) link->abort_part(done);
  }
  Result<std::size_t> send_many(std::span<const Bytes> messages, Deadline deadline) override {
    const auto link = BULKHEAD_TRY(use(sending_, deadline));
    return judged(sending_, link, link->send_many(messages, deadline));
  }
  Result<void> receive(Message& into, Deadline deadline) override {
    const auto link = BULKHEAD_TRY(use(receiving_, deadline));
    return judged(receiving_, link, link->receive(into, deadline));
  }

  Result<FdView> readable() override { return watch(receiving_); }
  Result<FdView> writable() override { return watch(sending_); }

  Mechanism mechanism() const noexcept override { return Mechanism::tcp; }
  Capabilities capabilities() const noexcept override {
    Capabilities can = tcp_mechanism.capabilities;
    can.both_ways = options_.direction == Direction::both;
    return can;
  }
  Peer peer() const noexcept override { return {}; }
  void close() noexcept override;
  Result<Handle> detach() override {
    if (closed_) return fail(ErrorKind::closed);
    return fail(ErrorKind::unsupported, {.cause = "an end that connects anew stays where it is",
                                         .remedy = "connect where it is used"});
  }

 protected:
  Result<void> await_room(std::size_t size, Deadline deadline) override {
    if (size > options_.max_message_bytes) {
      return fail(ErrorKind::too_large, {.cause = std::to_string(size) +
                                                  " bytes are more than the channel's maximum of " +
                                                  std::to_string(options_.max_message_bytes)});
    }
    const auto link = BULKHEAD_TRY(use(sending_, deadline));
    const auto ready = BULKHEAD_TRY(link->writable());
    if (BULKHEAD_TRY(os::poll_one(ready, POLLIN, deadline)) != 0) return {};
    return fail(deadline == no_wait ? ErrorKind::full : ErrorKind::timed_out);
  }

 private:
  using Connection = std::shared_ptr<Link>;
  struct Half {
    const bool sends;
    unsigned heard = 0;  // of so many breaks
    Watch watch{};
  };

  Result<Connection> use(Half& half, Deadline deadline);
  Result<void> make(std::unique_lock<std::mutex>& lock, Deadline deadline);
  Result<void> attempt(std::unique_lock<std::mutex>& lock, Deadline deadline);
  Result<FdView> watch(Half& half);
  void show(Half& half) noexcept;
  void note_break(Half& half, const Connection& link, const Error& error);
  static Error break_of(const Error& error);

  template <class T> Result<T> judged(Half& half, const Connection& link, Result<T> outcome) {
    if (outcome) [[likely]]
      return outcome;
    if (outcome.error() != ErrorKind::peer_died) return outcome;
    note_break(half, link, outcome.error());
    return fail(break_of(outcome.error()));
  }

  TcpCaller caller_;
  const std::chrono::milliseconds reconnect_;
  const ChannelOptions options_;
  const TcpSettings settings_;
  std::atomic<bool> closed_{false};
  const pid_t owner_ = ::getpid();

  std::mutex mutex_;
  std::condition_variable changed_;
  Connection link_;  // null while it is broken
  bool is_calling_ = false;
  unsigned breaks_ = 0;
  std::optional<Error> cause_;  // of the last break
  std::optional<Error> last_failure_;
  std::optional<Error> over_;
  Deadline give_up_ = never;
  Backoff backoff_;
  Half sending_{.sends = true};
  Half receiving_{.sends = false};
  os::SignalFd wake_;  // for a call that waits between attempts when this end is closed
  Connection part_of_;
};

Error LastingLink::break_of(const Error& error) {
  return {ErrorKind::peer_died,
          {.cause = "the connection broke: " +
                    (error.cause().empty() ? std::string{"the peer died"} : error.cause()),
           .remedy = "what was under way may be lost; the next call connects anew"}};
}

void LastingLink::note_break(Half& half, const Connection& link, const Error& error) {
  const std::lock_guard guard{mutex_};
  if (link_ == link) {
    link_.reset();
    ++breaks_;
    cause_ = error;
    give_up_ = reconnect_;
    backoff_.begin();
  }
  half.heard = breaks_;
  show(sending_);
  show(receiving_);
}

/// The connection to use. Says `peer_died` once for each break, then connects anew.
Result<LastingLink::Connection> LastingLink::use(Half& half, Deadline deadline) {
  std::unique_lock lock{mutex_};
  if (closed_) return fail(ErrorKind::closed);
  if (over_) return fail(*over_);
  if (half.heard != breaks_) {
    half.heard = breaks_;
    show(half);
    return fail(break_of(*cause_));
  }
  if (!link_) {
    auto made = make(lock, deadline);
    if (!made && deadline == no_wait && made.error() == ErrorKind::timed_out) {
      show(half);
      return fail(half.sends ? ErrorKind::full : ErrorKind::empty);
    }
    if (!made) return fail(std::move(made).error());
  }
  // Broken again meanwhile, and told to the other half first.
  if (half.heard != breaks_) {
    half.heard = breaks_;
    return fail(break_of(*cause_));
  }
  return link_;
}

/// Until there is a connection: one thread makes it, others wait for that. `timed_out` otherwise.
Result<void> LastingLink::make(std::unique_lock<std::mutex>& lock, Deadline deadline) {
  while (!link_) {
    if (closed_) return fail(ErrorKind::closed);
    if (over_) return fail(*over_);
    if (is_calling_) {
      if (deadline == no_wait || !os::wait_until(changed_, lock, deadline)) {
        return fail(ErrorKind::timed_out);
      }
      continue;
    }
    is_calling_ = true;
    auto done = attempt(lock, deadline);
    is_calling_ = false;
    changed_.notify_all();
    if (!done) return done;
  }
  return {};
}

/// One attempt, when its time has come. An error is one for the caller; none: look again.
Result<void> LastingLink::attempt(std::unique_lock<std::mutex>& lock, Deadline deadline) {
  const Deadline until = earlier(deadline, give_up_);
  const Deadline turn = backoff_.next();
  if (auto opened = wake_.open(); !opened) return opened;
  lock.unlock();
  Result<Fd> socket = fail(ErrorKind::timed_out);
  if (!turn.expired() && deadline != no_wait) {
    static_cast<void>(os::poll_one(wake_.view(), POLLIN, earlier(until, turn)));
  }
  if (turn.expired() && !closed_) socket = caller_.call(deadline == no_wait ? no_wait : until);
  Connection made;
  if (socket) {
    auto link = make_tcp_link(*std::move(socket), options_, settings_);
    if (link) {
      made = *std::move(link);
    } else {
      socket = fail(std::move(link).error());
    }
  }
  lock.lock();
  if (made) {
    link_ = std::move(made);
    give_up_ = never;
    show(sending_);
    show(receiving_);
    return {};
  }
  if (closed_) return fail(ErrorKind::closed);
  const Error error = socket.error();
  if (!may_pass(error)) return fail(error);
  const bool is_decided = error != ErrorKind::timed_out && error != ErrorKind::empty;
  if (is_decided) {
    last_failure_ = error;
    backoff_.failed();
  }
  if (give_up_.expired()) {
    over_ = Error{ErrorKind::peer_died,
                  {.cause = "the connection broke, and nobody has taken a new one for " +
                            std::to_string(reconnect_.count()) + " ms"}};
    return fail(*over_);
  }
  if (deadline == no_wait || deadline.expired()) return fail(ErrorKind::timed_out);
  return {};
}

Result<FdView> LastingLink::watch(Half& half) {
  const std::lock_guard guard{mutex_};
  if (closed_) return fail(ErrorKind::closed);
  const FdView view = BULKHEAD_TRY(half.watch.open());
  show(half);
  return view;
}

/// Under the mutex: the half's descriptor shows what there is to wait for.
void LastingLink::show(Half& half) noexcept {
  if (!half.watch.is_open()) return;
  half.watch.turn_to(FdView{}, 0);
  if (closed_ || over_ || half.heard != breaks_) {
    half.watch.ring_at(Deadline{0ns});
  } else if (link_) {
    half.watch.ring_at(never);
    const auto inner = half.sends ? link_->writable() : link_->readable();
    if (inner) half.watch.turn_to(*inner, EPOLLIN);
  } else if (is_calling_) {
    half.watch.ring_at(Deadline{first_pause});  // another thread is at it
  } else if (caller_.pending()) {
    half.watch.ring_at(never);
    half.watch.turn_to(caller_.pending(), EPOLLOUT);
  } else {
    half.watch.ring_at(backoff_.next());
  }
}

void LastingLink::close() noexcept {
  if (closed_.exchange(true)) return;
  const std::lock_guard guard{mutex_};
  if (owner_ == ::getpid()) {
    wake_.set(true);
    if (link_) link_->close();
  }
  changed_.notify_all();
  show(sending_);
  show(receiving_);
}

}  // namespace

Result<std::unique_ptr<Link>> connect_for_good(TcpCaller caller, Deadline deadline,
                                               std::chrono::milliseconds reconnect,
                                               const ChannelOptions& options,
                                               const TcpSettings& settings) {
  auto link = std::make_unique<LastingLink>(std::move(caller), reconnect, options, settings);
  BULKHEAD_TRY(link->connect(deadline));
  return link;
}

}  // namespace bulkhead::transport

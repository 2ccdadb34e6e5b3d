// SPDX-License-Identifier: Apache-2.0
#include "transport/posix_mq.hpp"

#include <array>
#include <mqueue.h>
#include <mutex>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/socket.hpp"
#include "os/syscall.hpp"
#include "transport/mechanism.hpp"
#include "transport/posix_mq_queue.hpp"
#include "transport/queue_link.hpp"

namespace bulkhead::transport {
namespace posix_mq {
namespace {

class PosixMqLink final : public QueueLink {
 public:
  PosixMqLink(Fd out, Fd in, const ChannelOptions& options)
      : QueueLink(options), out_(std::move(out)), in_(std::move(in)), owner_(::getpid()) {}
  ~PosixMqLink() override { close(); }

  /// For a client: before it has been accepted.
  Result<void> visit(const std::string& name, Deadline deadline) {
    watcher_ = BULKHEAD_TRY(make_watcher());
    visit_ = BULKHEAD_TRY(Visit::ask(name, deadline, options_, out_, in_, watcher_));
    return bind();
  }

  using QueueLink::bind;
  Result<FdView> readable() override {
    BULKHEAD_TRY(bind());
    BULKHEAD_TRY(expect_receives());
    return both(readable_, in_, EPOLLIN);
  }
  Result<FdView> writable() override {
    BULKHEAD_TRY(bind());
    BULKHEAD_TRY(expect_sends());
    return both(writable_, out_, EPOLLOUT);
  }

  Mechanism mechanism() const noexcept override { return Mechanism::posix_mq; }
  Capabilities capabilities() const noexcept override {
    Capabilities can = posix_mq_mechanism.capabilities;
    can.both_ways = options_.direction == Direction::both;
    return can;
  }
  Peer peer() const noexcept override;
  void close() noexcept override;
  Result<Handle> detach() override;

 protected:
  Result<void> bind() override;
  Result<void> put(Bytes unit, unsigned priority) override;
  Result<Unit> take(std::span<std::byte> room) override;
  Result<Woken> await_room(Deadline deadline) override { return await(out_, POLLOUT, deadline); }
  Result<Woken> await_unit(Deadline deadline) override { return await(in_, POLLIN, deadline); }
  bool has_room(std::size_t) override {
    const auto events = os::poll_one(out_, POLLOUT, no_wait);
    return events && *events != 0;
  }
  std::optional<Error> look_for_end() override;
  void hang_up() noexcept override;

 private:
  Result<Woken> await(FdView queue, short events, Deadline deadline);
  Result<FdView> both(Fd& epoll, FdView queue, std::uint32_t events);
  std::optional<ErrorKind> state() const noexcept;
  bool gone(FdView queue, Side side) const noexcept { return queue && !is_held(queue, side); }

  Fd out_;
  Fd in_;
  Fd watcher_;
  Fd readable_;
  Fd writable_;
  std::mutex binding_;
  std::atomic<bool> bound_{false};
  std::atomic<pid_t> owner_;
  mutable std::mutex looking_;
  std::unique_ptr<Visit> visit_;  // under looking_
};

Result<void> PosixMqLink::bind() {
  if (bound_) [[likely]]
    return {};
  const std::lock_guard guard{binding_};
  if (bound_) return {};
  if (is_closed()) return fail(ErrorKind::closed);
  Fd watcher = watcher_ ? std::move(watcher_) : BULKHEAD_TRY(make_watcher());
  Size out;
  Size in;
  if (out_) {
    out = BULKHEAD_TRY(check_queue(out_));
    BULKHEAD_TRY(watch(watcher, out_, Side::sender));
    hold_for_process(out_, Side::sender);
  }
  if (in_) {
    in = BULKHEAD_TRY(check_queue(in_));
    BULKHEAD_TRY(watch(watcher, in_, Side::receiver));
    hold_for_process(in_, Side::receiver);
  }
  has_sizes(out.unit, out.depth, in.unit);
  owner_ = ::getpid();
  watcher_ = std::move(watcher);
  bound_ = true;
  // An end that came before the watch rings no more: ring ourselves.
  if (state()) set_mark(out_ ? out_ : in_, Mark{});
  return {};
}

Result<void> PosixMqLink::put(Bytes unit, unsigned priority) {
  // Not null, which a unit of nothing may be, and the C library is told that its message never is.
  const auto* const data = unit.empty() ? "" : reinterpret_cast<const char*>(unit.data());
  if (::mq_send(out_.native(), data, unit.size(), priority) == 0) [[likely]]
    return {};
  if (errno == EAGAIN) return fail(ErrorKind::full);
  return os::failed("send", "message queue");
}

Result<QueueLink::Unit> PosixMqLink::take(std::span<std::byte> room) {
  unsigned priority = 0;
  const auto size =
      ::mq_receive(in_.native(), reinterpret_cast<char*>(room.data()), room.size(), &priority);
  if (size >= 0) [[likely]]
    return Unit{static_cast<std::size_t>(size), priority};
  if (errno == EAGAIN) return fail(ErrorKind::empty);
  return os::failed("receive", "message queue");
}

Result<QueueLink::Woken> PosixMqLink::await(FdView queue, short events, Deadline deadline) {
  std::array<pollfd, 2> fds{{{.fd = queue.native(), .events = events, .revents = 0},
                             {.fd = watcher_.native(), .events = POLLIN, .revents = 0}}};
  if (BULKHEAD_TRY(os::poll(fds, deadline)) == 0) {
    return fail(deadline == no_wait ? ErrorKind::full : ErrorKind::timed_out);
  }
  return fds[1].revents != 0 && fds[0].revents == 0 ? Woken::by_end : Woken::by_queue;
}

/// What the two queues say of the other end, whatever rang.
std::optional<ErrorKind> PosixMqLink::state() const noexcept {
  if (visit_) return visit_->is_refused();
  // Marked first, then closed: so the lock is looked at first.
  const bool died = gone(in_, Side::sender) || gone(out_, Side::receiver);
  const bool left = in_ ? has_mark(in_, Mark::sender_left) : has_mark(out_, Mark::receiver_left);
  if (left) return ErrorKind::closed;
  return died ? std::optional{ErrorKind::peer_died} : std::nullopt;
}

std::optional<Error> PosixMqLink::look_for_end() {
  const std::lock_guard guard{looking_};
  if (const auto rung = os::poll_one(watcher_, POLLIN, no_wait); rung && *rung == 0) return {};
  if (visit_ && visit_->is_taken()) visit_.reset();
  if (const auto kind = state()) return Error{*kind};
  if (is_closed()) return Error{ErrorKind::closed};
  // It rang for something else (our names went, the listener left). The bell must fall silent, and
  // not for an end of just now that a call in another thread waits for.
  std::array<std::byte, 1024> events;
  while (::read(watcher_.native(), events.data(), events.size()) > 0) {
  }
  if (visit_ && visit_->is_taken()) visit_.reset();
  const auto kind = state();
  if (kind || is_closed()) set_mark(out_ ? out_ : in_, Mark{});
  return kind ? std::optional{Error{*kind}} : std::nullopt;
}

void PosixMqLink::hang_up() noexcept {
  if (owner_ != ::getpid()) return;
  // Rings our own bell too.
  out_ ? set_mark(out_, Mark::sender_left) : set_mark(in_, Mark::receiver_left);
}

Peer PosixMqLink::peer() const noexcept {
  const std::lock_guard guard{looking_};
  const bool waits = visit_ && !visit_->is_taken();
  const pid_t pid = waits ? visit_->listener()
                    : in_ ? process_holding(in_, Side::sender)
                          : process_holding(out_, Side::receiver);
  struct stat found{};
  ::fstat((in_ ? in_ : out_).native(), &found);
  return {pid, found.st_uid, found.st_gid};
}

Result<FdView> PosixMqLink::both(Fd& epoll, FdView queue, std::uint32_t events) {
  if (epoll) return epoll.view();
  Fd made = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!made) return os::failed("make", "epoll descriptor");
  epoll_event end{.events = EPOLLIN, .data = {.u64 = 0}};
  epoll_event ready{.events = events, .data = {.u64 = 1}};
  if (::epoll_ctl(made.native(), EPOLL_CTL_ADD, watcher_.native(), &end) != 0 ||
      ::epoll_ctl(made.native(), EPOLL_CTL_ADD, queue.native(), &ready) != 0) {
    return os::failed("watch", "message queue");
  }
  epoll = std::move(made);
  return epoll.view();
}

void PosixMqLink::close() noexcept {
  if ((!out_ && !in_) || !begin_close()) return;
  if (owner_ != ::getpid()) return;  // a forked child's copy: the descriptors go, no more
  const std::lock_guard guard{looking_};
  if (visit_ && !visit_->is_taken()) visit_->leave();
  hang_up();
}

/// Two descriptors whatever there is, so that the other side need not know which.
Result<Handle> PosixMqLink::detach() {
  const std::lock_guard guard{binding_};
  if (is_closed()) return fail(ErrorKind::closed);
  if (bound_) {
    return fail(ErrorKind::invalid, {.cause = "this end has been used already",
                                     .remedy = "hand it over before its first use"});
  }
  const std::array fds{(out_ ? out_ : in_).native(), (in_ ? in_ : out_).native()};
  Fd parcel = BULKHEAD_TRY(os::wrap_descriptors(fds));
  begin_close();
  out_.close();
  in_.close();
  return Handle{std::move(parcel), Handle::Kind::channel,
                static_cast<std::uint8_t>(Mechanism::posix_mq)};
}

Result<LinkPair> make_pair(const ChannelOptions& options) {
  const Wish wish{.capacity_bytes = options.capacity_bytes};
  Ends forth;
  Ends back;
  if (options.direction != Direction::receive) forth = BULKHEAD_TRY(make_queue(wish));
  if (options.direction != Direction::send) back = BULKHEAD_TRY(make_queue(wish));
  ChannelOptions other = options;
  other.direction = opposite(options.direction);
  return LinkPair{make_link(std::move(forth.sender), std::move(back.receiver), options),
                  make_link(std::move(back.sender), std::move(forth.receiver), other)};
}

Result<std::unique_ptr<Link>> adopt(Handle handle, const ChannelOptions& options) {
  auto fds = BULKHEAD_TRY(os::unwrap_descriptors(std::move(handle).take_fd(), 2));
  Fd out;
  Fd in;
  for (Fd& fd : fds) {
    BULKHEAD_TRY(check_queue(fd));
    (side_of(fd) == Side::sender ? out : in) = std::move(fd);
  }
  ChannelOptions with = options;
  with.direction = !in ? Direction::send : !out ? Direction::receive : Direction::both;
  return make_link(std::move(out), std::move(in), with);
}

Result<std::unique_ptr<Link>> connect(const std::string& name, Deadline deadline,
                                      const ChannelOptions& options) {
  auto link = std::make_unique<PosixMqLink>(Fd{}, Fd{}, options);
  BULKHEAD_TRY(link->visit(name, deadline));
  return link;
}

}  // namespace

std::unique_ptr<Link> make_link(Fd out, Fd in, const ChannelOptions& options) {
  return std::make_unique<PosixMqLink>(std::move(out), std::move(in), options);
}

}  // namespace posix_mq

const MechanismEntry posix_mq_mechanism{
    .mechanism = Mechanism::posix_mq,
    .capabilities = {.priority = true,
                     .many_clients = true,
                     .both_ways = true,
                     .unrelated = true,
                     .reliable = true,
                     .tells_death = true},
    .make_pair = posix_mq::make_pair,
    .adopt = posix_mq::adopt,
    .connect = posix_mq::connect,
    .listen = posix_mq::listen_at,
    .unfit_for_sandbox = "it tells of its close by the mode of its queue and hears by its path",
    .left_by_clients = posix_mq::left_by_clients,
};

}  // namespace bulkhead::transport

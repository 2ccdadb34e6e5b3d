// SPDX-License-Identifier: Apache-2.0
//
// Both sides of the listener's queue: see posix_mq.hpp.
#include <array>
#include <cstring>
#include <mqueue.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "os/names.hpp"
#include "os/poll.hpp"
#include "os/syscall.hpp"
#include "transport/parameters.hpp"
#include "transport/posix_mq.hpp"
#include "transport/posix_mq_queue.hpp"
#include "transport/queue_frame.hpp"

namespace bulkhead::transport::posix_mq {
namespace {

/// "/NAME" of an address, checked. NAME_MAX less the ending of the lock file.
Result<std::string> checked(const std::string& name) {
  if (!name.starts_with('/')) {
    return fail(ErrorKind::invalid,
                {.cause = "it is not the name of a message queue", .remedy = "write mq:///name"});
  }
  BULKHEAD_TRY(os::check_name(name.substr(1), 240));
  return name;
}

Result<Wish> wish_of(std::string& name, const ChannelOptions& options) {
  auto parameters = BULKHEAD_TRY(Parameters::cut_from(name));
  Wish wish{.capacity_bytes = options.capacity_bytes, .share = 64};
  const auto unit =
      BULKHEAD_TRY(parameters.number("unit", queue_frame::least_unit, queue_frame::most_unit));
  const auto depth = BULKHEAD_TRY(parameters.number("depth", 1, 65'536));
  BULKHEAD_TRY(parameters.expect_none_left());
  wish.unit = static_cast<std::size_t>(unit.value_or(0));
  wish.depth = static_cast<std::size_t>(depth.value_or(0));
  return wish;
}

std::unexpected<Error> nobody_listens() {
  return fail(
      ErrorKind::not_found,
      {.cause = "nobody listens there",
       .remedy = "start the one that does, as the same user and in the same IPC namespace"});
}

/// No queue is deeper (mq_overview(7)): more than what lies in one is not looked at at a time.
constexpr int most_depth = 65'536;

/// The next request in the queue; nothing when there is none. What is none is passed over.
std::optional<Request> next_request(FdView meeting) {
  std::array<char, request_unit> unit;
  for (int looked_at = 0; looked_at < most_depth; ++looked_at) {
    const auto size = ::mq_receive(meeting.native(), unit.data(), unit.size(), nullptr);
    if (size < 0) return std::nullopt;
    Request request;
    if (size != sizeof request) continue;
    std::memcpy(static_cast<void*>(&request), unit.data(), sizeof request);
    const std::uint32_t ways = client_sends | client_receives;
    if (request.magic == Request{}.magic && (request.queues & ways) != 0 &&
        (request.queues & ~ways) == 0) {
      return request;
    }
  }
  return std::nullopt;
}

void turn_away_all(FdView meeting) noexcept {
  for (int turned = 0; turned < most_depth; ++turned) {
    const auto request = next_request(meeting);
    if (!request) return;
    Names::unlink(*request);
  }
}

std::uint64_t number_of(const Request& request) {
  std::uint64_t number = 0;
  std::memcpy(&number, request.random.data(), sizeof number);
  return number;
}

class OpenVisit final : public Visit {
 public:
  OpenVisit(Fd meeting, FdView watcher, const Request& request)
      : meeting_(std::move(meeting)), watcher_(watcher), request_(request) {}
  ~OpenVisit() override {
    if (watch_ >= 0) ::inotify_rm_watch(watcher_.native(), watch_);
    if (!made_) leave();
  }

  Result<void> ask(Deadline deadline) {
    const std::string path = "/proc/self/fd/" + std::to_string(meeting_.native());
    watch_ = ::inotify_add_watch(watcher_.native(), path.c_str(), IN_CLOSE_NOWRITE | IN_ATTRIB);
    if (watch_ < 0) return os::failed("watch", "message queue");
    hold_number(meeting_, number_of(request_));
    return put(deadline);
  }

  /// The client's queues; `out` and `in` get what the request has.
  Result<void> make_queues(const Wish& wish, Fd& out, Fd& in) {
    const Names names{request_};
    if ((request_.queues & client_sends) != 0) {
      out = BULKHEAD_TRY(create_queue(names.to_listener, Side::sender, wish));
      hold_for_process(out, Side::sender);
    }
    if ((request_.queues & client_receives) != 0) {
      in = BULKHEAD_TRY(create_queue(names.from_listener, Side::receiver, wish));
      hold_for_process(in, Side::receiver);
    }
    out_ = out;
    own_ = out ? out.view() : in.view();
    return {};
  }

  void ring() noexcept {
    made_ = true;
    set_mark(own_, Mark::made);
    set_mark(meeting_, Mark{});
  }

  bool is_taken() const noexcept override {
    struct stat found{};
    return ::fstat(own_.native(), &found) == 0 && found.st_nlink == 0;
  }
  std::optional<ErrorKind> is_refused() const noexcept override {
    const bool left = has_mark(meeting_, Mark::receiver_left);
    if (!left && is_held(meeting_, Side::receiver)) return std::nullopt;
    // It may have taken us in before it went.
    if (is_taken()) return std::nullopt;
    return left ? ErrorKind::closed : ErrorKind::peer_died;
  }
  pid_t listener() const noexcept override { return process_holding(meeting_, Side::receiver); }
  void leave() noexcept override {
    mq_attr state{};
    const bool awaited = made_ && out_ && !is_refused() &&
                         ::mq_getattr(out_.native(), &state) == 0 && state.mq_curmsgs > 0;
    if (!awaited) Names::unlink(request_);
  }

 private:
  Result<void> put(Deadline deadline) {
    std::array<char, sizeof(Request)> unit;
    std::memcpy(unit.data(), &request_, sizeof request_);
    for (;;) {
      if (!is_held(meeting_, Side::receiver)) return nobody_listens();
      if (::mq_send(meeting_.native(), unit.data(), unit.size(), 0) == 0) return {};
      if (errno != EAGAIN) return os::failed("ask", "the listener");
      std::array<pollfd, 2> fds{{{.fd = meeting_.native(), .events = POLLOUT, .revents = 0},
                                 {.fd = watcher_.native(), .events = POLLIN, .revents = 0}}};
      if (BULKHEAD_TRY(os::poll(fds, deadline)) == 0) {
        return fail(ErrorKind::timed_out, {.cause = "the listener takes nobody in at the moment"});
      }
      std::array<std::byte, 1024> events;
      if (fds[1].revents != 0) {
        static_cast<void>(::read(watcher_.native(), events.data(), events.size()));
      }
    }
  }

  Fd meeting_;
  FdView watcher_;
  Request request_;
  FdView own_;
  FdView out_;
  int watch_ = -1;
  bool made_ = false;
};

/// Clients that make their queues at a time; the requests of others stay in the queue.
constexpr std::size_t most_asked = 1024;

class QueueAcceptor final : public Acceptor {
 public:
  QueueAcceptor(std::string name, Fd meeting, Fd bell, Fd ready, os::NameLock lock,
                const ChannelOptions& options)
      : name_(std::move(name)),
        meeting_(std::move(meeting)),
        bell_(std::move(bell)),
        ready_(std::move(ready)),
        lock_(std::move(lock)),
        options_(options) {}
  ~QueueAcceptor() override { close(); }

  Result<std::unique_ptr<Link>> accept(Deadline deadline) override {
    for (;;) {
      if (closed_) return fail(ErrorKind::closed);
      std::array<std::byte, 1024> rings;
      while (::read(bell_.native(), rings.data(), rings.size()) > 0) {
      }
      while (asked_.size() < most_asked) {
        const auto request = next_request(meeting_);
        if (!request) break;
        asked_.push_back(*request);
      }
      auto link = welcome_one();
      if (!link)
        set_mark(meeting_, Mark{});  // others may be there as well: who polls is to come back
      if (!link || *link) return link;
      if (deadline == no_wait) return fail(ErrorKind::empty);
      // Requests that come to nothing may go on coming for ever.
      if (deadline.expired()) return fail(ErrorKind::timed_out);
      if (BULKHEAD_TRY(os::poll_one(ready_, POLLIN, deadline)) == 0) {
        return fail(ErrorKind::timed_out);
      }
    }
  }

  FdView readable() const noexcept override { return ready_; }

  void close() noexcept override {
    if (closed_) return;
    closed_ = true;
    if (lock_.is_ours()) {
      // No new ones; then those that have asked, who hear that nobody takes them in.
      ::mq_unlink(name_.c_str());
      set_mark(meeting_, Mark::receiver_left);
      turn_away_all(meeting_);
      for (const Request& request : asked_) Names::unlink(request);
    }
    lock_.release();
    // Who asks from now on finds nobody.
    meeting_.close();
  }

 private:
  /// The first that has made its queues; null when there is none. Who is still making them is left
  /// for the next time.
  Result<std::unique_ptr<Link>> welcome_one() {
    for (auto one = asked_.begin(); one != asked_.end();) {
      const bool was_there = is_number_held(meeting_, number_of(*one));
      auto link = welcome(*one);
      if (!link && link.error() == ErrorKind::exhausted) return link;
      const bool makes_them = !link && was_there && link.error() == ErrorKind::not_found;
      if (makes_them) {
        ++one;
        continue;
      }
      if (!link) Names::unlink(*one);
      one = asked_.erase(one);
      if (!link) continue;
      if (!asked_.empty()) set_mark(meeting_, Mark{});
      return link;
    }
    return nullptr;
  }

  Result<std::unique_ptr<Link>> welcome(const Request& request) {
    const Names names{request};
    if (request.version != Request{}.version) return fail(ErrorKind::incompatible);
    Fd in;
    Fd out;
    // What is made last is looked for first.
    if ((request.queues & client_receives) != 0) {
      out = BULKHEAD_TRY(open_queue(names.from_listener, Side::sender));
    }
    if ((request.queues & client_sends) != 0) {
      in = BULKHEAD_TRY(open_queue(names.to_listener, Side::receiver));
    }
    if (!has_mark(in ? in : out, Mark::made)) return fail(ErrorKind::not_found);
    if (in) hold_for_process(in, Side::receiver);
    if (out) hold_for_process(out, Side::sender);
    Names::unlink(request);
    ChannelOptions with = options_;
    with.direction = !in ? Direction::send : !out ? Direction::receive : Direction::both;
    return make_link(std::move(out), std::move(in), with);
  }

  const std::string name_;
  Fd meeting_;
  Fd bell_;
  Fd ready_;
  os::NameLock lock_;
  const ChannelOptions options_;
  std::vector<Request> asked_;
  bool closed_ = false;
};

/// Rings when a client has made its queues.
Result<Fd> make_bell(FdView meeting) {
  Fd bell = BULKHEAD_TRY(make_watcher());
  const std::string path = "/proc/self/fd/" + std::to_string(meeting.native());
  if (::inotify_add_watch(bell.native(), path.c_str(), IN_ATTRIB) >= 0) return bell;
  return os::failed("watch", "message queue");
}

Result<Fd> poll_both(FdView meeting, FdView bell) {
  Fd ready = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
  if (!ready || ::epoll_ctl(ready.native(), EPOLL_CTL_ADD, meeting.native(), &event) != 0 ||
      ::epoll_ctl(ready.native(), EPOLL_CTL_ADD, bell.native(), &event) != 0) {
    return os::failed("watch", "message queue");
  }
  return ready;
}

std::unexpected<Error> in_use(pid_t pid) {
  return fail(ErrorKind::exists,
              {.cause = "name in use by " +
                        (pid > 0 ? "pid " + std::to_string(pid) : std::string{"a process"}),
               .remedy = "stop it or choose another name"});
}

/// What the dead clients of a dead listener asked for, and perhaps made.
void add_names_of(const Request& request, std::vector<os::NamedThing>& names) {
  const Names both{request};
  if ((request.queues & client_sends) != 0) {
    names.push_back({os::Named::queue, both.to_listener, {}});
  }
  if ((request.queues & client_receives) != 0) {
    names.push_back({os::Named::queue, both.from_listener, {}});
  }
}

/// A listener's that is gone, with the names that were left in it.
Result<void> remove_stale(const std::string& name, const os::NameLock& lock) {
  const Fd found = Fd::adopt(::mq_open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!found) return errno == ENOENT ? Result<void>{} : os::failed("look at", name);
  // One that is dying may be said to hold it for a moment yet.
  const bool is_dead = lock.is_of_the_dead(os::Named::queue, name);
  if (!is_dead && is_held(found, Side::receiver))
    return in_use(process_holding(found, Side::receiver));
  mq_attr attributes{};
  ::mq_getattr(found.native(), &attributes);
  if (attributes.mq_msgsize != static_cast<long>(request_unit) || owner_of(found) != ::geteuid()) {
    return fail(ErrorKind::exists, {.cause = "there is a queue that no listener made",
                                    .remedy = "remove it or choose another name"});
  }
  turn_away_all(found);
  if (::mq_unlink(name.c_str()) != 0 && errno != ENOENT) return os::failed("remove stale", name);
  return {};
}

}  // namespace

Names::Names(const Request& request) {
  std::string hex;
  for (const unsigned byte : request.random) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  to_listener = "/bulkhead." + hex + ".c";
  from_listener = "/bulkhead." + hex + ".s";
}

void Names::unlink(const Request& request) noexcept {
  const Names names{request};
  if ((request.queues & client_sends) != 0) ::mq_unlink(names.to_listener.c_str());
  if ((request.queues & client_receives) != 0) ::mq_unlink(names.from_listener.c_str());
}

/// Only to remove them: a look would take the requests out of the queue.
std::vector<os::NamedThing> left_by_clients(const std::string& name, os::NamedThing::Do what,
                                            bool listener_lives) {
  std::vector<os::NamedThing> left;
  if (listener_lives || what == os::NamedThing::Do::look) return left;
  const Fd meeting = Fd::adopt(::mq_open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  mq_attr attributes{};
  if (!meeting || owner_of(meeting) != ::geteuid() ||
      ::mq_getattr(meeting.native(), &attributes) != 0 ||
      attributes.mq_msgsize != static_cast<long>(request_unit)) {
    return left;
  }
  while (const auto request = next_request(meeting)) {
    // One that lives hears of the listener's death, and removes them itself.
    if (!is_number_held(meeting, number_of(*request))) add_names_of(*request, left);
  }
  return left;
}

Result<std::unique_ptr<Visit>> Visit::ask(const std::string& address, Deadline deadline,
                                          const ChannelOptions& options, Fd& out, Fd& in,
                                          FdView watcher) {
  std::string name = address;
  const Wish wish = BULKHEAD_TRY(wish_of(name, options));
  BULKHEAD_TRY(checked(name));
  Fd meeting = Fd::adopt(::mq_open(name.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  if (!meeting) return errno == ENOENT ? nobody_listens() : os::failed("open", name);
  if (!is_held(meeting, Side::receiver)) return nobody_listens();
  if (owner_of(meeting) != ::geteuid()) {
    return fail(ErrorKind::denied, {.cause = "the listener is another user's"});
  }
  Request request;
  if (options.direction != Direction::receive) request.queues |= client_sends;
  if (options.direction != Direction::send) request.queues |= client_receives;
  const auto got =
      os::retry_eintr([&] { return ::getrandom(request.random.data(), request.random.size(), 0); });
  if (got != static_cast<ssize_t>(request.random.size())) {
    return os::failed("get", "random bytes");
  }
  auto visit = std::make_unique<OpenVisit>(std::move(meeting), watcher, request);
  BULKHEAD_TRY(visit->ask(deadline));
  BULKHEAD_TRY(visit->make_queues(wish, out, in));
  visit->ring();
  return visit;
}

Result<std::unique_ptr<Acceptor>> listen_at(const std::string& address,
                                            const ChannelOptions& options, bool other_users) {
  std::string name = address;
  const auto parameters = BULKHEAD_TRY(Parameters::cut_from(name));
  BULKHEAD_TRY(parameters.expect_none_left());
  BULKHEAD_TRY(checked(name));
  if (other_users) {
    return fail(ErrorKind::unsupported,
                {.cause = "a message queue that two users can open, a third can open too",
                 .remedy = "listen at a unix address for other users"});
  }
  const std::string lock = BULKHEAD_TRY(os::runtime_directory()) + name + ".mq";
  auto taken = BULKHEAD_TRY(os::NameLock::take(lock, "mq", os::Named::queue, name));
  BULKHEAD_TRY(remove_stale(name, taken));
  Fd meeting =
      BULKHEAD_TRY(create_queue(name, Side::receiver, {.unit = request_unit, .depth = 65'536}));
  taken.made();
  hold_for_process(meeting, Side::receiver);
  auto bell = make_bell(meeting);
  auto ready = bell ? poll_both(meeting, *bell) : Result<Fd>{fail(bell.error())};
  if (!ready) {
    ::mq_unlink(name.c_str());
    return fail(ready.error());
  }
  return std::make_unique<QueueAcceptor>(name, std::move(meeting), *std::move(bell),
                                         *std::move(ready), std::move(taken), options);
}

}  // namespace bulkhead::transport::posix_mq

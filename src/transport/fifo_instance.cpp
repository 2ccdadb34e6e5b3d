// SPDX-License-Identifier: Apache-2.0
#include "transport/fifo_instance.hpp"

#include <cstring>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/syscall.hpp"
#include "transport/mechanism.hpp"

namespace bulkhead::transport {
namespace {

using fifo_frame::Request;

Result<fifo_frame::Token> make_token() {
  fifo_frame::Token token;
  const auto got = os::retry_eintr([&] { return ::getrandom(token.data(), token.size(), 0); });
  if (got != static_cast<ssize_t>(token.size())) return os::failed("get random bytes");
  return token;
}

class InstanceLink : public PipeStreamLink {
 public:
  InstanceLink(Fd in, Fd out, const ChannelOptions& options, pid_t peer)
      : PipeStreamLink(std::move(in), std::move(out), options), peer_(peer) {}
  ~InstanceLink() override { close(); }

  Mechanism mechanism() const noexcept override { return Mechanism::fifo; }
  Capabilities capabilities() const noexcept override {
    Capabilities can = fifo_mechanism.capabilities;
    can.both_ways = is_both_ways();
    return can;
  }
  /// The user is our own: others' FIFOs are not opened.
  Peer peer() const noexcept override { return {peer_, ::geteuid(), ::getegid()}; }
  Result<Handle> detach() override {
    return fail(ErrorKind::unsupported, {.cause = "its ends stay where they were made"});
  }

 protected:
  std::size_t prepare(const ChannelOptions& with) noexcept override {
    os::set_pipe_room(out(), with.capacity_bytes);
    return PipeStreamLink::prepare(with);
  }

 private:
  const pid_t peer_;
};

// The client

/// What a client holds until it is taken in.
struct Asked {
  Fd server;    ///< has no reader any more when the server is gone
  Fd keeps_in;  ///< that the server will write to: without a writer it would have ended
  Fd keeps_out;
  InstanceNames names;
};

class ClientLink final : public InstanceLink {
 public:
  ClientLink(Fd in, Fd out, const ChannelOptions& options, pid_t peer, Asked asked, Fd both)
      : InstanceLink(std::move(in), std::move(out), options, peer),
        asked_(std::move(asked)),
        both_(std::move(both)) {}
  ~ClientLink() override {
    close();
    if (owner_ == ::getpid()) let_go();
  }

 protected:
  FdView aside() const noexcept override { return is_joined_ ? FdView{} : both_.view(); }

  Result<void> look_aside() override {
    read_ahead();  // the hello, if that is what it was
    if (is_joined_) return {};
    epoll_event events[2];
    const std::lock_guard guard{joining_};
    if (is_joined_) return {};
    const int count = os::retry_eintr([&] { return ::epoll_wait(both_.native(), events, 2, 0); });
    for (int i = 0; i < count; ++i) {
      if ((events[i].events & EPOLLERR) != 0) return fail(why_not_taken_in());
    }
    return {};
  }

  Result<void> extend_watch(FdView watch) override {
    if (is_joined_) return {};
    epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
    if (::epoll_ctl(watch.native(), EPOLL_CTL_ADD, both_.native(), &event) == 0) return {};
    return os::failed("watch", "named pipe");
  }

  /// Nobody but the server can have written it.
  void note_arrival() noexcept override {
    if (is_joined_) [[likely]]
      return;
    const std::lock_guard guard{joining_};
    is_joined_ = true;
    let_go();
  }

 private:
  Error why_not_taken_in() const {
    const bool in_order = os::is_marked_closed(asked_.server, os::PipeEnd::reading);
    return {in_order ? ErrorKind::closed : ErrorKind::peer_died,
            {.cause = in_order ? "the server closed before it took this client in"
                               : "the server died before it took this client in"}};
  }

  void let_go() noexcept {
    asked_.names.remove();  // the server has done so, if it took us in
    asked_.keeps_in.close();
    asked_.keeps_out.close();
    asked_.server.close();
  }

  std::mutex joining_;
  Asked asked_;
  const Fd both_;
  std::atomic<bool> is_joined_{false};
  const pid_t owner_ = ::getpid();
};

Result<void> write_request(FdView server, const Request& request, Deadline deadline) {
  const iovec parts{const_cast<Request*>(&request), sizeof request};
  os::PipeWriter writer;
  for (;;) {
    if (os::retry_eintr([&] { return writer.write(server, {&parts, 1}); }) > 0) return {};
    if (errno == EPIPE) return fail(ErrorKind::not_found, {.cause = "the server has just gone"});
    if (errno != EAGAIN) return os::failed("ask", "server");
    if (deadline == no_wait || BULKHEAD_TRY(os::poll_one(server, POLLOUT, deadline)) == 0) {
      return fail(ErrorKind::timed_out, {.cause = "the server takes nobody in at the moment"});
    }
  }
}

/// Readable when the server answers or is gone.
Result<Fd> watch_both(FdView in, FdView server) {
  Fd both = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!both) return os::failed("make", "epoll descriptor");
  epoll_event answer{.events = EPOLLIN, .data = {.u64 = 0}};
  epoll_event gone{.events = 0, .data = {.u64 = 1}};
  if (::epoll_ctl(both.native(), EPOLL_CTL_ADD, in.native(), &answer) != 0 ||
      ::epoll_ctl(both.native(), EPOLL_CTL_ADD, server.native(), &gone) != 0) {
    return os::failed("watch", "named pipe");
  }
  return both;
}

struct Opened {
  Fd in;
  Fd out;
};

Result<Opened> open_instance(Asked& asked) {
  BULKHEAD_TRY(os::make_fifo(asked.names.up));
  BULKHEAD_TRY(os::make_fifo(asked.names.down));
  Opened opened;
  asked.keeps_out = BULKHEAD_TRY(os::open_fifo(asked.names.up, os::FifoEnd::reading));
  opened.out = BULKHEAD_TRY(os::open_fifo(asked.names.up, os::FifoEnd::writing));
  opened.in = BULKHEAD_TRY(os::open_fifo(asked.names.down, os::FifoEnd::reading));
  asked.keeps_in = BULKHEAD_TRY(os::open_fifo(asked.names.down, os::FifoEnd::writing));
  os::sign(opened.out);
  os::hold_place(opened.out, UINT64_MAX);
  return opened;
}

// The server

/// Requests of clients that have gone, which a call that does not wait looks at.
constexpr int most_turned_away = 1024;

class InstanceAcceptor final : public Acceptor {
 public:
  InstanceAcceptor(FifoPlace place, Fd keeps_open, Fd waker, Fd both, ChannelOptions options)
      : place_(std::move(place)),
        keeps_open_(std::move(keeps_open)),
        waker_(std::move(waker)),
        ready_(std::move(both)),
        options_(options) {}
  ~InstanceAcceptor() override { close(); }

  Result<std::unique_ptr<Link>> accept(Deadline deadline) override {
    for (int turned_away = 0;;) {
      if (!place_) return fail(ErrorKind::closed);
      if (BULKHEAD_TRY(next_request())) {
        auto link = take_in();
        if (link || link.error() == ErrorKind::exhausted) return link;
        if (deadline == no_wait ? ++turned_away < most_turned_away : !deadline.expired()) continue;
      }
      if (deadline == no_wait) return fail(ErrorKind::empty);
      // Requests that come to nothing, and what is none, may go on coming for ever.
      if (deadline.expired()) return fail(ErrorKind::timed_out);
      if (BULKHEAD_TRY(os::poll_one(ready_, POLLIN, deadline)) == 0) {
        return fail(ErrorKind::timed_out);
      }
    }
  }

  FdView readable() const noexcept override { return ready_; }

  void close() noexcept override {
    if (!place_) return;
    if (owner_ == ::getpid()) {
      const std::uint64_t one = 1;
      os::retry_eintr([&] { return ::write(waker_.native(), &one, sizeof one); });
    }
    keeps_open_.close();
    place_.reset();
  }

 private:
  /// True when there is a whole one. TRUST: what is none is passed over byte by byte until one
  /// begins, or until as much was looked at as a FIFO holds.
  Result<bool> next_request() {
    for (int looked_at = 0; looked_at < 64 * 1024; ++looked_at) {
      if (have_ == sizeof request_) {
        const Request likely;
        if (std::memcmp(request_, &likely, offsetof(Request, pid)) == 0) return true;
        drop(1);
      }
      const auto got = os::retry_eintr([&] {
        return ::read(place_->mouth().native(), request_ + have_, sizeof request_ - have_);
      });
      if (got < 0 && errno != EAGAIN) return os::failed("read", place_->path());
      if (got <= 0) return false;
      have_ += static_cast<std::size_t>(got);
    }
    return false;
  }

  void drop(std::size_t bytes) noexcept {
    std::memmove(request_, request_ + bytes, have_ - bytes);
    have_ -= bytes;
  }

  /// `exhausted` keeps the request for the next try; any other failure is the client's own.
  Result<std::unique_ptr<Link>> take_in() {
    Request request;
    std::memcpy(static_cast<void*>(&request), request_, sizeof request);
    const InstanceNames names{place_->path(), request.token};
    auto link = open(names, static_cast<pid_t>(request.pid));
    if (link || link.error() != ErrorKind::exhausted) {
      names.remove();
      drop(sizeof request);
    }
    return link;
  }

  Result<std::unique_ptr<Link>> open(const InstanceNames& names, pid_t claims_to_be) {
    Fd in = BULKHEAD_TRY(os::open_fifo(names.up, os::FifoEnd::reading));
    if (!os::is_place_held(in, UINT64_MAX) || os::has_other_names(in)) {
      return fail(ErrorKind::peer_died);
    }
    Fd out = BULKHEAD_TRY(os::open_fifo(names.down, os::FifoEnd::writing));
    if (os::has_other_names(out)) return fail(ErrorKind::denied);
    // Its own locks the kernel does not tell a process.
    const pid_t signer = os::signer_of(in);
    const pid_t peer = signer == 0 && claims_to_be == ::getpid() ? claims_to_be : signer;
    auto link = std::make_unique<InstanceLink>(std::move(in), std::move(out), options_, peer);
    BULKHEAD_TRY(link->StreamLink::bind(no_wait));
    return link;
  }

  std::optional<FifoPlace> place_;
  Fd keeps_open_;
  const Fd waker_;
  const Fd ready_;
  const ChannelOptions options_;
  const pid_t owner_ = ::getpid();
  std::byte request_[sizeof(Request)];
  std::size_t have_ = 0;
};

}  // namespace

Result<std::unique_ptr<Link>> connect_instance(const std::string& path, Deadline deadline,
                                               const ChannelOptions& options) {
  Fd server = BULKHEAD_TRY(open_server(path, FifoUse::instances));
  const pid_t peer = server_pid(server, path);
  const Request request{.pid = static_cast<std::uint32_t>(::getpid()),
                        .token = BULKHEAD_TRY(make_token())};
  Asked asked{std::move(server), {}, {}, InstanceNames{path, request.token}};
  os::hold_place(asked.server, place_of(request.token));  // before there is anything to find
  auto opened = open_instance(asked);
  auto both = opened ? watch_both(opened->in, asked.server) : Result<Fd>{fail(opened.error())};
  auto sent =
      both ? write_request(asked.server, request, deadline) : Result<void>{fail(both.error())};
  if (!sent) {
    asked.names.remove();
    return fail(std::move(sent).error());
  }
  return std::make_unique<ClientLink>(std::move(opened->in), std::move(opened->out), options, peer,
                                      std::move(asked), *std::move(both));
}

Result<std::unique_ptr<Acceptor>> listen_for_instances(const std::string& path,
                                                       const ChannelOptions& options) {
  auto place = BULKHEAD_TRY(FifoPlace::claim(path, FifoUse::instances));
  Fd keeps_open = BULKHEAD_TRY(os::open_fifo(path, os::FifoEnd::writing));
  Fd waker = Fd::adopt(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  Fd ready = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!waker || !ready) return os::failed("make", "event descriptor");
  epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
  if (::epoll_ctl(ready.native(), EPOLL_CTL_ADD, place.mouth().native(), &event) != 0 ||
      ::epoll_ctl(ready.native(), EPOLL_CTL_ADD, waker.native(), &event) != 0) {
    return os::failed("watch", path);
  }
  return std::make_unique<InstanceAcceptor>(std::move(place), std::move(keeps_open),
                                            std::move(waker), std::move(ready), options);
}

}  // namespace bulkhead::transport

// SPDX-License-Identifier: Apache-2.0
#include "transport/tcp_meeting.hpp"

#include <atomic>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/inet_owner.hpp"
#include "os/socket.hpp"
#include "os/syscall.hpp"
#include "transport/parameters.hpp"
#include "transport/tcp_reconnect.hpp"
#include "transport/tcp_socket.hpp"

namespace bulkhead::transport {
namespace {

using namespace std::chrono_literals;
using os::InetAddress;

Result<TcpSettings> read_settings(Parameters& parameters) {
  TcpSettings settings;
  settings.heartbeat = BULKHEAD_TRY(parameters.duration("heartbeat")).value_or(settings.heartbeat);
  settings.patience = BULKHEAD_TRY(parameters.duration("patience")).value_or(settings.patience);
  return settings;
}

/// errno is set when there is none.
Fd take_client(FdView listener) noexcept {
  return Fd::adopt(os::retry_eintr([&] {
    return ::accept4(listener.native(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  }));
}

/// Of a client that has gone already, or of the network: nobody's error (accept(2)).
bool is_clients_own(int number) {
  return number == ECONNABORTED || number == EPROTO || number == ENETDOWN || number == EHOSTDOWN ||
         number == EHOSTUNREACH || number == ENETUNREACH || number == ENONET ||
         number == ENOPROTOOPT || number == EOPNOTSUPP;
}

class TcpAcceptor final : public Acceptor {
 public:
  TcpAcceptor(Fd socket, const InetAddress& at, const ChannelOptions& options,
              const TcpSettings& settings)
      : socket_(std::move(socket)), at_(at), options_(options), settings_(settings) {}
  ~TcpAcceptor() override { close(); }

  Result<std::unique_ptr<Link>> accept(Deadline deadline) override {
    for (;;) {
      if (closed_) return fail(ErrorKind::closed);
      if (Fd client = take_client(socket_)) {
        return make_tcp_link(std::move(client), options_, settings_);
      }
      if (closed_) return fail(ErrorKind::closed);
      if (is_clients_own(errno)) continue;
      if (errno != EAGAIN) return os::failed("accept", {}, "close some or raise the limit");
      if (deadline == no_wait) return fail(ErrorKind::empty);
      if (BULKHEAD_TRY(os::poll_one(socket_, POLLIN, deadline)) == 0) {
        return fail(ErrorKind::timed_out);
      }
    }
  }

  FdView readable() const noexcept override { return socket_; }
  std::optional<Address> address() const override { return Address{"tcp://" + at_.text()}; }

  void close() noexcept override {
    // A forked child's copy must not end the parent's.
    if (closed_.exchange(true) || owner_ != ::getpid()) return;
    // Wakes who waits; the kernel resets those who came and were not taken in.
    ::shutdown(socket_.native(), SHUT_RDWR);
  }

 private:
  Fd socket_;
  const InetAddress at_;
  const ChannelOptions options_;
  const TcpSettings settings_;
  const pid_t owner_ = ::getpid();
  std::atomic<bool> closed_{false};
};

Result<Fd> listening_socket(const InetAddress& at, int backlog) {
  Fd socket = BULKHEAD_TRY(os::make_inet_socket(at, SOCK_STREAM));
  // Not to wait for old connections to run out; a port that is listened at stays taken (socket(7)).
  BULKHEAD_TRY(os::set_socket_option(socket, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR"));
  const bool bound =
      ::bind(socket.native(), at.get(), at.size()) == 0 && ::listen(socket.native(), backlog) == 0;
  if (bound) return socket;
  if (errno == EADDRINUSE) return os::address_in_use(at, SOCK_STREAM);
  return os::failed("listen", at.text());
}

/// A client is taken in when its hello is there, or after a while without. An end that closes before
/// its peer's hello came would reset the connection by it, and what is under way to the peer be lost.
void await_hellos(FdView listener) noexcept {
  const int seconds = 5;
  ::setsockopt(listener.native(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
}

Result<LinkPair> pair_on(int family, const ChannelOptions& options) {
  const Fd listener = BULKHEAD_TRY(listening_socket(InetAddress::loopback(family, 0), 16));
  const auto meeting = BULKHEAD_TRY(os::local_address(listener));
  Fd first = BULKHEAD_TRY(TcpCaller{{meeting}}.call(10s));
  const auto ours = BULKHEAD_TRY(os::local_address(first));
  Fd second;
  while (!second) {
    Fd client = take_client(listener);
    if (!client && errno == EAGAIN) {
      BULKHEAD_TRY(os::poll_one(listener, POLLIN, never));  // ours is connected: it is in the queue
    } else if (!client && !is_clients_own(errno)) {
      return os::failed("accept");
    }
    // TRUST: anybody on this machine could have found the port; only ours stays.
    if (!client) continue;
    const auto from = os::remote_address(client);
    if (from && *from == ours) second = std::move(client);
  }
  ChannelOptions others = options;
  others.direction = opposite(options.direction);
  const Peer we{.pid = 0, .uid = ::geteuid(), .gid = ::getegid()};
  auto one = BULKHEAD_TRY(make_tcp_link(std::move(first), options, {}, we));
  auto other = BULKHEAD_TRY(make_tcp_link(std::move(second), others, {}, we));
  return LinkPair{std::move(one), std::move(other)};
}

}  // namespace

Result<Fd> TcpCaller::call(Deadline deadline) {
  for (;;) {
    if (!socket_) {
      if (auto begun = begin(deadline); !begun) {
        if (!BULKHEAD_TRY(next(std::move(begun).error()))) return fail(*std::exchange(first_, {}));
        continue;
      }
    }
    const short events = BULKHEAD_TRY(
        os::poll_one(socket_, POLLOUT, deadline == no_wait ? no_wait : earlier(deadline, share_)));
    if (events != 0) {
      auto judged = judge();
      if (judged) {
        at_ = 0;
        first_.reset();
        return std::move(socket_);
      }
      if (!BULKHEAD_TRY(next(std::move(judged).error()))) return fail(*std::exchange(first_, {}));
      continue;
    }
    if (deadline == no_wait) return fail(ErrorKind::empty);
    if (deadline.expired()) {
      return fail(ErrorKind::timed_out,
                  {.cause = "nobody has answered at " + addresses_[at_].text()});
    }
    const Error silence{ErrorKind::timed_out,
                        {.cause = "nobody has answered at " + addresses_[at_].text()}};
    if (!BULKHEAD_TRY(next(silence))) return fail(*std::exchange(first_, {}));
  }
}

Result<void> TcpCaller::begin(Deadline deadline) {
  const InetAddress& to = addresses_[at_];
  socket_ = BULKHEAD_TRY(os::make_inet_socket(to, SOCK_STREAM));
  // Of what is left, so that all that are still to be tried have their turn.
  const auto still = static_cast<long>(addresses_.size() - at_);
  share_ = deadline.is_never() || deadline == no_wait || still == 1
               ? never
               : Deadline{deadline.remaining() / still};
  const int done =
      os::retry_eintr([&] { return ::connect(socket_.native(), to.get(), to.size()); });
  if (done == 0 || errno == EINPROGRESS || errno == EALREADY) return {};
  return os::failed("connect", to.text());
}

/// The attempt has been decided.
Result<void> TcpCaller::judge() {
  errno = os::socket_option(socket_, SOL_SOCKET, SO_ERROR);
  if (errno == 0) {
    const auto from = os::local_address(socket_);
    // A port of the system's choice that happens to be the one looked for: TCP connects it to
    // itself (RFC 9293, simultaneous open).
    if (from && !(*from == addresses_[at_])) return {};
    errno = ECONNREFUSED;
  }
  if (errno == ECONNREFUSED) {
    return fail(ErrorKind::not_found,
                {.cause = "nobody listens there", .remedy = "start the one that does"});
  }
  return os::failed("connect", addresses_[at_].text());
}

/// On to the next address; false when there is none. `exhausted` ends it: the next has no more.
Result<bool> TcpCaller::next(Error error) {
  socket_.close();
  if (error == ErrorKind::exhausted) return fail(std::move(error));
  if (!first_) first_ = std::move(error);
  at_ = (at_ + 1) % addresses_.size();
  return at_ != 0;
}

Result<LinkPair> make_tcp_pair(const ChannelOptions& options) {
  auto four = pair_on(AF_INET, options);
  if (four || four.error() == ErrorKind::exhausted) return four;
  auto six = pair_on(AF_INET6, options);
  return six ? std::move(six) : std::move(four);
}

Result<std::unique_ptr<Link>> connect_tcp(const std::string& name, Deadline deadline,
                                          const ChannelOptions& options) {
  std::string host_and_port = name;
  Parameters parameters = BULKHEAD_TRY(Parameters::cut_from(host_and_port));
  const TcpSettings settings = BULKHEAD_TRY(read_settings(parameters));
  const auto reconnect = BULKHEAD_TRY(parameters.duration("reconnect"));
  BULKHEAD_TRY(parameters.expect_none_left());
  auto addresses = BULKHEAD_TRY(os::find_addresses(host_and_port, SOCK_STREAM, deadline));
  if (addresses.front().port() == 0) {
    return fail(ErrorKind::invalid, {.cause = "its port is 0", .remedy = "name the listener's"});
  }
  TcpCaller caller{std::move(addresses)};
  if (reconnect) {
    return connect_for_good(std::move(caller), deadline, *reconnect, options, settings);
  }
  auto socket = caller.call(deadline);
  if (!socket && socket.error() == ErrorKind::empty) return fail(ErrorKind::timed_out);
  if (!socket) return fail(std::move(socket).error());
  return make_tcp_link(*std::move(socket), options, settings);
}

Result<std::unique_ptr<Acceptor>> listen_tcp(const std::string& name, const ChannelOptions& options,
                                             bool) {
  std::string host_and_port = name;
  Parameters parameters = BULKHEAD_TRY(Parameters::cut_from(host_and_port));
  const TcpSettings settings = BULKHEAD_TRY(read_settings(parameters));
  BULKHEAD_TRY(parameters.expect_none_left());
  const auto addresses = BULKHEAD_TRY(os::find_addresses(host_and_port, SOCK_STREAM, never));
  std::optional<Error> first;
  for (const InetAddress& address : addresses) {
    auto socket = listening_socket(address, SOMAXCONN);
    if (socket) {
      await_hellos(*socket);
      const auto at = BULKHEAD_TRY(os::local_address(*socket));
      return std::make_unique<TcpAcceptor>(*std::move(socket), at, options, settings);
    }
    if (!first) first = std::move(socket).error();
  }
  return fail(*std::move(first));
}

}  // namespace bulkhead::transport

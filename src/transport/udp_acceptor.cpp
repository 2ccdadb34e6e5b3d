// SPDX-License-Identifier: Apache-2.0
#include "transport/udp_acceptor.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "os/inet_owner.hpp"
#include "os/signal_fd.hpp"
#include "os/socket.hpp"
#include "os/syscall.hpp"
#include "transport/udp_cookie.hpp"
#include "transport/udp_frame.hpp"
#include "transport/udp_socket.hpp"

namespace bulkhead::transport {
namespace {

using namespace std::chrono_literals;
using os::InetAddress;
using udp_frame::Header;
using udp_frame::Type;

constexpr std::size_t most_waiting = 256;
constexpr std::size_t most_waiting_bytes = 4 << 20;
constexpr std::size_t datagram_bytes = 65'536;
constexpr int most_at_a_time = 4'096;  // datagrams, before a call looks at its deadline
constexpr int listener_buffer = 1 << 20;
/// So long may a datagram be under way that belongs to a client which has its own socket by now.
constexpr auto straggling = 1s;

struct Arrival {
  InetAddress from;
  InetAddress at;  // the address of ours that it was sent to
  std::size_t size = 0;
};

struct Waiting {
  InetAddress from;
  InetAddress at;
  std::uint64_t session = 0;
  std::deque<Message> early{};
};

struct Accepted {
  InetAddress from;
  std::uint64_t session = 0;
  Deadline until = no_wait;
};

/// The local address of the datagram, which the kernel tells beside it (ip(7), ipv6(7)).
void read_destination(msghdr& header, sockaddr_storage& at) {
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_PKTINFO) {
      in_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(item), sizeof info);
      reinterpret_cast<sockaddr_in&>(at).sin_addr = info.ipi_addr;
    } else if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(item), sizeof info);
      auto& six = reinterpret_cast<sockaddr_in6&>(at);
      six.sin6_addr = info.ipi6_addr;
      if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) six.sin6_scope_id = info.ipi6_ifindex;
    }
  }
}

class UdpAcceptor final : public Acceptor {
 public:
  UdpAcceptor(Fd socket, Fd watch, const InetAddress& at, CookieKey key,
              const ChannelOptions& options)
      : socket_(std::move(socket)),
        watch_(std::move(watch)),
        at_(at),
        key_(key),
        options_(options),
        buffer_(std::make_unique_for_overwrite<std::byte[]>(datagram_bytes)) {}
  ~UdpAcceptor() override { close(); }

  Result<void> open() {
    BULKHEAD_TRY(more_.open());
    for (const FdView fd : {socket_.view(), more_.view()}) {
      epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
      if (::epoll_ctl(watch_.native(), EPOLL_CTL_ADD, fd.native(), &event) != 0) {
        return os::failed("watch", "socket");
      }
    }
    return {};
  }

  Result<std::unique_ptr<Link>> accept(Deadline deadline) override {
    for (;;) {
      if (closed_) return fail(ErrorKind::closed);
      BULKHEAD_TRY(take_all(socket_));
      if (!waiting_.empty()) {
        auto link = welcome(waiting_.front().from, waiting_.front().at, waiting_.front().session);
        more_.set(!waiting_.empty());
        if (link && !*link) continue;  // it has left meanwhile
        return link;
      }
      if (deadline == no_wait) return fail(ErrorKind::empty);
      if (deadline.expired()) return fail(ErrorKind::timed_out);  // whatever goes on coming
      if (BULKHEAD_TRY(os::poll_one(socket_, POLLIN, deadline)) == 0) {
        return fail(ErrorKind::timed_out);
      }
    }
  }

  FdView readable() const noexcept override { return watch_; }
  std::optional<Address> address() const override { return Address{"udp://" + at_.text()}; }

  void close() noexcept override {
    if (closed_.exchange(true) || owner_ != ::getpid()) return;
    try {
      static_cast<void>(take_all(socket_));
    } catch (const std::bad_alloc&) {
      // Then some do not hear that nobody takes them in.
    }
    for (const Waiting& client : waiting_) answer(client.from, Type::refused, client.session);
    ::shutdown(socket_.native(), SHUT_RDWR);
  }

 private:
  Result<bool> take(FdView socket, Arrival& arrival);
  Result<void> take_all(FdView socket);
  void hear(const Arrival& arrival, Bytes datagram);
  void hear_hello(const Arrival& arrival, const Header& header, Bytes datagram);
  void hear_other(const Arrival& arrival, const Header& header, Bytes datagram);
  void answer(const InetAddress& to, Type type, std::uint64_t session) noexcept;
  bool is_straggler(const InetAddress& from, std::uint64_t session) const;
  Result<std::unique_ptr<Link>> welcome(InetAddress from, InetAddress at, std::uint64_t session);

  std::deque<Waiting>::iterator waiting(const InetAddress& from) {
    return std::ranges::find(waiting_, from, &Waiting::from);
  }

  Fd socket_;
  Fd watch_;
  const InetAddress at_;
  const CookieKey key_;
  const ChannelOptions options_;
  const pid_t owner_ = ::getpid();
  std::atomic<bool> closed_{false};
  std::unique_ptr<std::byte[]> buffer_;
  std::deque<Waiting> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::deque<Accepted> accepted_;
  os::SignalFd more_;
};

/// One datagram into the buffer; false when there is none.
Result<bool> UdpAcceptor::take(FdView socket, Arrival& arrival) {
  sockaddr_storage from{};
  alignas(cmsghdr) std::byte control[128];
  iovec part{buffer_.get(), datagram_bytes};
  msghdr header{};
  header.msg_name = &from;
  header.msg_namelen = sizeof from;
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const auto got =
      os::retry_eintr([&] { return ::recvmsg(socket.native(), &header, MSG_DONTWAIT); });
  if (got < 0 && errno == EAGAIN) return false;
  if (got < 0 && errno == ECONNREFUSED) return take(socket, arrival);  // about an answer: told once
  if (got < 0) return os::failed("receive", "datagram");
  if (header.msg_namelen == 0) return false;  // shut down
  sockaddr_storage at{};
  std::memcpy(&at, at_.get(), at_.size());
  read_destination(header, at);
  arrival.from = BULKHEAD_TRY(InetAddress::from(from));
  arrival.at = BULKHEAD_TRY(InetAddress::from(at));
  arrival.size = static_cast<std::size_t>(got);
  return true;
}

Result<void> UdpAcceptor::take_all(FdView socket) {
  Arrival arrival;
  for (int i = 0; i < most_at_a_time; ++i) {
    if (!BULKHEAD_TRY(take(socket, arrival))) break;
    hear(arrival, {buffer_.get(), arrival.size});
  }
  return {};
}

void UdpAcceptor::answer(const InetAddress& to, Type type, std::uint64_t session) noexcept {
  const auto datagram = udp_frame::pack({.type = type, .session = session});
  ::sendto(socket_.native(), datagram.data(), datagram.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
           to.get(), to.size());
}

void UdpAcceptor::hear(const Arrival& arrival, Bytes datagram) {
  const auto header = udp_frame::unpack(datagram);
  if (!header) return;
  if (header->type != Type::hello) return hear_other(arrival, *header, datagram);
  if (header->version == udp_frame::version) return hear_hello(arrival, *header, datagram);
  answer(arrival.from, Type::refused, header->session);  // which tells our version
}

void UdpAcceptor::hear_hello(const Arrival& arrival, const Header& header, Bytes datagram) {
  const auto cookie = udp_frame::cookie_of(datagram);
  if (!cookie || is_straggler(arrival.from, header.session)) return;
  if (!arrival.from.is_loopback() && !key_.accepts(*cookie, arrival.from, header.session)) {
    const auto challenge = udp_frame::pack({.type = Type::challenge, .session = header.session},
                                           key_.now(arrival.from, header.session));
    ::sendto(socket_.native(), challenge.data(), challenge.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
             arrival.from.get(), arrival.from.size());
    return;
  }
  if (const auto before = waiting(arrival.from); before != waiting_.end()) {
    if (before->session == header.session) return;
    for (const Message& one : before->early) waiting_bytes_ -= one.size();
    waiting_.erase(before);  // it went, and another has its port
  }
  if (waiting_.size() < most_waiting) {
    waiting_.push_back({arrival.from, arrival.at, header.session});
  }
}

void UdpAcceptor::hear_other(const Arrival& arrival, const Header& header, Bytes datagram) {
  const auto client = waiting(arrival.from);
  if (client == waiting_.end() || client->session != header.session) {
    if (header.type == Type::data && !is_straggler(arrival.from, header.session)) {
      answer(arrival.from, Type::unknown, header.session);
    }
    return;
  }
  if (header.type == Type::close && client->early.empty()) {
    waiting_.erase(client);  // it said nothing and left: nobody needs to hear of it
  } else if (waiting_bytes_ + datagram.size() <= most_waiting_bytes) {
    waiting_bytes_ += datagram.size();
    client->early.emplace_back(datagram);
  }
}

bool UdpAcceptor::is_straggler(const InetAddress& from, std::uint64_t session) const {
  return std::ranges::any_of(accepted_, [&](const Accepted& one) {
    return one.session == session && one.from == from && !one.until.expired();
  });
}

/// Null when the client has left before it was taken in.
Result<std::unique_ptr<Link>> UdpAcceptor::welcome(InetAddress from, InetAddress at,
                                                   std::uint64_t session) {
  Fd socket = BULKHEAD_TRY(os::make_inet_socket(at, SOCK_DGRAM));
  BULKHEAD_TRY(os::set_socket_option(socket, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT"));
  if (::bind(socket.native(), at.get(), at.size()) != 0) return os::failed("bind", at.text());
  if (::connect(socket.native(), from.get(), from.size()) != 0) {
    return os::failed("connect", from.text());
  }
  while (!accepted_.empty() && accepted_.front().until.expired()) accepted_.pop_front();
  // What came before the connect is with the listener or, of this client or others, in the new
  // socket; the client is still among those that wait, and gets its own.
  BULKHEAD_TRY(take_all(socket_));
  BULKHEAD_TRY(take_all(socket));
  const auto client = waiting(from);
  if (client == waiting_.end() || client->session != session) return nullptr;
  accepted_.push_back({from, session, straggling});
  for (const Message& one : client->early) waiting_bytes_ -= one.size();
  UdpEnd end{.hearing = {UdpHearing::Role::server, session}, .early = std::move(client->early)};
  waiting_.erase(client);
  return make_udp_link(std::move(socket), std::move(end), options_);
}

/// Nobody else gets the port, and clients' own sockets can be added to it: those that bind with
/// SO_REUSEPORT need it of all that were there before, whenever these have set it (udp(7) is silent;
/// net/ipv4/udp.c, udp_lib_lport_inuse).
Result<void> bind_alone(FdView socket, const InetAddress& at) {
  const auto bind = [&] { return ::bind(socket.native(), at.get(), at.size()) == 0; };
  const auto share = [&] {
    return os::set_socket_option(socket, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
  };
  if (bind()) return share();
  if (errno != EADDRINUSE) return os::failed("bind", at.text());
  // It may be that nobody listens, but channels of a listener that has gone are still there.
  if (!os::is_listened_at(at, SOCK_DGRAM)) {
    BULKHEAD_TRY(share());
    if (bind()) return {};
  }
  return os::address_in_use(at, SOCK_DGRAM);
}

}  // namespace

Result<std::unique_ptr<Acceptor>> make_udp_acceptor(const InetAddress& at,
                                                    const ChannelOptions& options) {
  Fd socket = BULKHEAD_TRY(os::make_inet_socket(at, SOCK_DGRAM));
  BULKHEAD_TRY(bind_alone(socket, at));
  const bool six = at.family() == AF_INET6;
  BULKHEAD_TRY(os::set_socket_option(socket, six ? IPPROTO_IPV6 : IPPROTO_IP,
                                     six ? IPV6_RECVPKTINFO : IP_PKTINFO, 1, "IP_PKTINFO"));
  ::setsockopt(socket.native(), SOL_SOCKET, SO_RCVBUF, &listener_buffer, sizeof listener_buffer);
  Fd watch = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!watch) return os::failed("make", "epoll descriptor");
  const auto bound = BULKHEAD_TRY(os::local_address(socket));
  auto acceptor = std::make_unique<UdpAcceptor>(std::move(socket), std::move(watch), bound,
                                                BULKHEAD_TRY(CookieKey::make()), options);
  BULKHEAD_TRY(acceptor->open());
  return acceptor;
}

}  // namespace bulkhead::transport

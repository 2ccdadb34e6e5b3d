// SPDX-License-Identifier: Apache-2.0
#include "transport/tcp_socket.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "os/inet.hpp"
#include "os/socket.hpp"
#include "os/syscall.hpp"
#include "transport/mechanism.hpp"
#include "transport/stream_link.hpp"
#include "transport/tcp_meeting.hpp"

namespace bulkhead::transport {
namespace {

using namespace std::chrono_literals;
using Clock = Deadline::Clock;

/// Unread bytes that a closing end throws away, so that its kernel need not reset the connection.
constexpr std::size_t most_thrown_away = 16 << 20;

constexpr int least_buffer = 16 * 1024;
constexpr int least_window = 64 * 1024;
constexpr int roomy_receive_buffer = 1024 * 1024;
/// A frame and something.
constexpr int last_room = stream_frame::most_payload + 16 * 1024;

class TcpLink final : public StreamLink {
 public:
  TcpLink(Fd socket, const ChannelOptions& options, const TcpSettings& settings, Peer peer)
      : StreamLink(std::move(socket), options), settings_(settings), peer_(peer) {}
  ~TcpLink() override { close(); }

  /// Both are small and find an empty socket.
  Result<void> say_hello();
  void keep_alive() noexcept;

  Mechanism mechanism() const noexcept override { return Mechanism::tcp; }
  Capabilities capabilities() const noexcept override {
    Capabilities can = tcp_mechanism.capabilities;
    can.both_ways = options().direction == Direction::both;
    return can;
  }
  Peer peer() const noexcept override { return peer_; }
  Result<Handle> detach() override {
    auto ends = BULKHEAD_TRY(take_ends());
    return Handle{std::move(ends.in), Handle::Kind::channel,
                  static_cast<std::uint8_t>(Mechanism::tcp)};
  }
  void close() noexcept override {
    StreamLink::close();
    // A forked child's copy shares what has not been read with the parent.
    if (owner_ == ::getpid()) throw_away();
  }

 protected:
  bool has_said_hello() const noexcept override { return true; }
  ssize_t read_some(FdView in, std::span<const iovec> parts) noexcept override;
  ssize_t write_some(FdView out, std::span<const iovec> parts) noexcept override;
  std::size_t prepare(const ChannelOptions& options) noexcept override;
  bool close_aside() noexcept override;
  Error why_broken(int number) const override;
  void note_arrival() noexcept override { heard_ = now(); }
  Deadline next_duty() const noexcept override;
  Result<void> do_duty() override;
  Result<void> extend_watch(FdView watch) override;

 private:
  static Clock::rep now() noexcept { return Clock::now().time_since_epoch().count(); }
  bool is_silent() noexcept;
  bool timer_has_run() noexcept;
  void throw_away() noexcept;

  const TcpSettings settings_;
  const Peer peer_;
  std::atomic<pid_t> owner_{::getpid()};  // who made it, or used it first
  /// When something arrived, or a ping went out.
  std::atomic<Clock::rep> heard_{now()};
  /// When bytes were first seen to be under way of which nothing has been acknowledged since; or 0.
  std::atomic<Clock::rep> unanswered_{0};
  Fd timer_;
};

Result<void> TcpLink::say_hello() {
  struct {
    stream_frame::Header header{stream_frame::Type::hello, sizeof(stream_frame::Hello)};
    stream_frame::Hello hello;
  } const frame;
  static_assert(sizeof frame == sizeof(stream_frame::Header) + sizeof(stream_frame::Hello));
  Bytes rest = std::as_bytes(std::span{&frame, 1});
  while (!rest.empty()) {
    const auto sent = os::retry_eintr([&] {
      return ::send(out().native(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    });
    // A peer that has gone already may still have left messages.
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return {};
    if (sent < 0) return os::failed("send", "hello");
    rest = rest.subspan(static_cast<std::size_t>(sent));
  }
  return {};
}

/// The kernel's part, for an end of which no call waits.
void TcpLink::keep_alive() noexcept {
  const auto seconds = [](std::chrono::milliseconds time) {
    return static_cast<int>(std::clamp<long>(time.count() / 1000, 1, 32'767));
  };
  const int socket = in().native();
  const auto set = [&](int level, int name, int value) {
    ::setsockopt(socket, level, name, &value, sizeof value);
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, settings_.heartbeat > 0ms ? seconds(settings_.heartbeat) : 60);
  set(IPPROTO_TCP, TCP_KEEPINTVL, seconds(settings_.patience / 3));
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

ssize_t TcpLink::read_some(FdView in, std::span<const iovec> parts) noexcept {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  const auto got = ::recvmsg(in.native(), &message, MSG_DONTWAIT);
  if (got >= 0 || errno != EAGAIN) [[likely]]
    return got;
  if (timer_ && timer_has_run() && !do_duty()) {
    errno = ETIMEDOUT;
  } else {
    errno = EAGAIN;
  }
  return -1;
}

ssize_t TcpLink::write_some(FdView out, std::span<const iovec> parts) noexcept {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  return ::sendmsg(out.native(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/// Room for the close frame, and for what fills up a frame that was given up. The kernel gives no
/// more than net.core.wmem_max: of that a part was left for this.
bool TcpLink::close_aside() noexcept {
  const int bytes = os::send_buffer(in()) / 2 + last_room;
  return ::setsockopt(in().native(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) == 0;
}

/// A part of the capacity here and the rest at the peer; of what it is told the kernel gives twice,
/// for its own books. What may be under way to us is bounded by the window, and not by the receive
/// buffer: from that the kernel also takes what each segment costs it, which for short messages is
/// many times what they carry, and it drops what then has no room. A message takes as long as
/// retransmission then.
std::size_t TcpLink::prepare(const ChannelOptions& options) noexcept {
  owner_ = ::getpid();
  const auto capacity = static_cast<int>(std::min<std::size_t>(options.capacity_bytes, 1 << 29));
  const int window = std::max(capacity / 8 * 5, least_window);
  const int receiving = std::max(window, roomy_receive_buffer);
  ::setsockopt(in().native(), SOL_SOCKET, SO_RCVBUF, &receiving, sizeof receiving);
  ::setsockopt(in().native(), IPPROTO_TCP, TCP_WINDOW_CLAMP, &window, sizeof window);
  const int sending = std::max(capacity / 4, least_buffer);
  const int wanted = sending + last_room;
  os::set_send_buffer(in(), wanted);
  const int given = os::send_buffer(in()) / 2;
  const int bytes = given >= wanted ? sending : std::max(least_buffer, given / 2);
  os::set_send_buffer(in(), bytes);
  return static_cast<std::size_t>(bytes);
}

Error TcpLink::why_broken(int number) const {
  switch (number) {
    case ETIMEDOUT:
      return {ErrorKind::peer_died,
              {.cause = "the peer died: its machine or the way there has not answered for " +
                        std::to_string(settings_.patience.count()) + " ms",
               .code = {number, std::system_category()}}};
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
      return {ErrorKind::peer_died,
              {.cause = "the peer died: the network leads there no more",
               .code = {number, std::system_category()}}};
    default:
      return StreamLink::why_broken(number);
  }
}

Deadline TcpLink::next_duty() const noexcept {
  if (settings_.heartbeat == 0ms) return never;
  return Deadline{Clock::time_point{Clock::duration{heard_.load()}} + settings_.heartbeat};
}

Result<void> TcpLink::do_duty() {
  heard_ = now();
  if (!is_silent()) return ping();
  // What is still under way need not be tried any more when this end closes.
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(in().native(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  return fail(why_broken(ETIMEDOUT));
}

/// Something is under way, and nothing has been acknowledged for too long. Bytes for which the peer
/// has no room are not under way; the kernel's questions for room are, until they are answered.
bool TcpLink::is_silent() noexcept {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(in().native(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
  const auto present = now();
  const auto since = unanswered_.load();
  const Clock::duration quiet = std::chrono::milliseconds{info.tcpi_last_ack_recv};
  if (info.tcpi_unacked == 0 && info.tcpi_probes == 0) {
    unanswered_ = 0;
  } else if (since == 0 || present - quiet.count() > since) {
    unanswered_ = present;
  } else {
    return Clock::duration{present - since} >= settings_.patience;
  }
  return false;
}

Result<void> TcpLink::extend_watch(FdView watch) {
  if (settings_.heartbeat == 0ms) return {};
  Fd timer = Fd::adopt(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) return os::failed("make", "timer");
  const timespec period{.tv_sec = settings_.heartbeat / 1s,
                        .tv_nsec = settings_.heartbeat % 1s / 1ms * 1'000'000};
  const itimerspec spec{.it_interval = period, .it_value = period};
  epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
  if (::timerfd_settime(timer.native(), 0, &spec, nullptr) != 0 ||
      ::epoll_ctl(watch.native(), EPOLL_CTL_ADD, timer.native(), &event) != 0) {
    return os::failed("watch", "timer");
  }
  timer_ = std::move(timer);
  return {};
}

bool TcpLink::timer_has_run() noexcept {
  std::uint64_t times = 0;
  return os::retry_eintr([&] { return ::read(timer_.native(), &times, sizeof times); }) > 0;
}

/// tcp_close() resets a connection with unread bytes, and what is still under way to the peer is
/// lost with it (net/ipv4/tcp.c).
void TcpLink::throw_away() noexcept {
  if (!in()) return;
  std::size_t gone = 0;
  while (gone < most_thrown_away) {
    // MSG_TRUNC: thrown away by the kernel, without a copy (tcp(7)).
    const auto got = os::retry_eintr(
        [&] { return ::recv(in().native(), nullptr, 1 << 20, MSG_TRUNC | MSG_DONTWAIT); });
    if (got <= 0) return;
    gone += static_cast<std::size_t>(got);
  }
}

Result<std::unique_ptr<Link>> adopt_tcp(Handle handle, const ChannelOptions& options) {
  Fd socket = std::move(handle).take_fd();
  if (!os::is_connected_inet(socket, SOCK_STREAM)) {
    return fail(
        ErrorKind::invalid,
        {.operation = "adopt", .object = "descriptor", .cause = "it is no connected TCP socket"});
  }
  return std::make_unique<TcpLink>(std::move(socket), options, TcpSettings{}, Peer{});
}

}  // namespace

Result<std::unique_ptr<Link>> make_tcp_link(Fd socket, const ChannelOptions& options,
                                            const TcpSettings& settings, Peer peer) {
  auto link = std::make_unique<TcpLink>(std::move(socket), options, settings, peer);
  link->keep_alive();
  BULKHEAD_TRY(link->say_hello());
  return link;
}

const MechanismEntry tcp_mechanism{
    .mechanism = Mechanism::tcp,
    .capabilities = {.many_clients = true,
                     .other_machine = true,
                     .both_ways = true,
                     .unrelated = true,
                     .reliable = true,
                     .tells_death = true},
    .make_pair = make_tcp_pair,
    .adopt = adopt_tcp,
    .connect = connect_tcp,
    .listen = listen_tcp,
};

}  // namespace bulkhead::transport

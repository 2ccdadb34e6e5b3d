// SPDX-License-Identifier: Apache-2.0
#include "transport/udp_socket.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "os/inet.hpp"
#include "os/signal_fd.hpp"
#include "os/socket.hpp"
#include "os/syscall.hpp"
#include "transport/aside.hpp"
#include "transport/mechanism.hpp"
#include "transport/udp_meeting.hpp"

namespace bulkhead::transport {
namespace {

using namespace std::chrono_literals;
using udp_frame::Type;
using Role = UdpHearing::Role;
using Verdict = UdpHearing::Verdict;

/// Datagrams taken or given with one system call, at most. The memory for them is reserved, and
/// touched as far as datagrams fill it.
constexpr std::size_t most_at_once = 16;
constexpr std::size_t slot_bytes = 65'536;
/// Larger ones are taken one by one: copying them costs more than the call.
constexpr std::size_t small_bytes = 2'048;

/// TRUST: a peer, or who forges its address, can go on sending what makes no message. After so many a
/// call looks at the clock, or gives up.
constexpr int patience = 256;
constexpr int most_drained = 65'536;

constexpr auto first_pause = 100ms;
constexpr auto longest_pause = 5s;

iovec part(const void* data, std::size_t size) { return {const_cast<void*>(data), size}; }

class UdpLink final : public LinkWithoutMemory {
 public:
  UdpLink(Fd socket, UdpEnd end, const ChannelOptions& options)
      : socket_(std::move(socket)),
        options_(options),
        peer_(end.peer),
        unit_(
            udp_frame::most_payload(os::socket_option(socket_, SOL_SOCKET, SO_DOMAIN) == AF_INET6)),
        owner_(::getpid()),
        hearing_(end.hearing),
        early_(std::move(end.early)) {
    const auto wanted =
        static_cast<int>(std::clamp<std::size_t>(options.capacity_bytes, 1, 1 << 30));
    ::setsockopt(socket_.native(), SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
    ::setsockopt(socket_.native(), SOL_SOCKET, SO_RCVBUF, &wanted, sizeof wanted);
  }
  ~UdpLink() override { close(); }

  /// Of a client, before anybody else has the link. A far listener must have answered.
  Result<void> greet(bool is_far, Deadline deadline);
  void welcome() noexcept { send_control(Type::welcome); }

  Result<void> send(Bytes bytes, std::span<Handle> handles, Deadline deadline) override;
  Result<std::size_t> send_many(std::span<const Bytes> messages, Deadline deadline) override;
  Result<void> receive(Message& into, Deadline deadline) override;
  Result<FdView> readable() override;
  Result<FdView> writable() override;

  Mechanism mechanism() const noexcept override { return Mechanism::udp; }
  Capabilities capabilities() const noexcept override {
    Capabilities can = udp_mechanism.capabilities;
    can.both_ways = options_.direction == Direction::both;
    return can;
  }
  Peer peer() const noexcept override { return peer_; }
  Losses losses() const noexcept override {
    const std::lock_guard guard{reading_};
    return hearing_.losses();
  }
  void close() noexcept override;
  Result<void> bind(Deadline) override { return use(); }
  Result<Handle> detach() override;

 protected:
  Result<void> await_room(std::size_t size, Deadline deadline) override;

 private:
  Result<void> use();
  Result<void> expect_sends() const;
  Result<void> expect_receives() const;
  Result<void> check(std::size_t size) const;
  Result<void> wait(short events, Deadline deadline);
  Result<void> wait_for_more(Deadline deadline);
  Error send_failed(int number);
  bool send_control(Type type, std::uint32_t sequence = 0) noexcept;

  // Under reading_:
  Result<bool> read(Message& into);
  bool hear(Bytes datagram, Message& into);
  Result<void> fill_slots();
  Error drain_after_refusal();
  void say_hello() noexcept;
  void show() noexcept {
    more_.set(ended_ || !heard_.empty() || !early_.empty() || slot_ < filled_);
  }

  Fd socket_;
  const ChannelOptions options_;
  const Peer peer_;
  const std::size_t unit_;  // the largest message

  std::mutex using_;
  std::atomic<bool> used_{false};
  std::atomic<bool> closed_{false};
  std::atomic<pid_t> owner_;

  // The sending half.
  std::atomic<std::uint32_t> sent_{0};
  Fd writable_;

  // The receiving half. The sender comes here too when it finds the peer gone.
  mutable std::mutex reading_;
  UdpHearing hearing_;
  std::deque<Message> early_;  // datagrams, not looked at yet
  std::deque<Message> heard_;  // messages that the sender found
  std::unique_ptr<std::byte[]> slots_;
  std::array<std::size_t, most_at_once> sizes_{};
  std::size_t filled_ = 0;
  std::size_t slot_ = 0;
  std::size_t at_once_ = 1;
  std::optional<Error> ended_;
  bool waits_first_ = false;
  unsigned waits_ = 0;
  Deadline::Clock::time_point hello_due_{};
  Deadline::Clock::duration hello_pause_ = first_pause;
  Fd readable_;
  os::SignalFd more_;
};

Result<void> UdpLink::use() {
  if (used_) [[likely]]
    return {};
  const std::lock_guard guard{using_};
  if (closed_) return fail(ErrorKind::closed);
  if (!used_) owner_ = ::getpid();
  used_ = true;
  return {};
}

Result<void> UdpLink::expect_sends() const {
  if (options_.direction != Direction::receive) return {};
  return fail(ErrorKind::unsupported, {.cause = "this end only receives"});
}

Result<void> UdpLink::expect_receives() const {
  if (options_.direction != Direction::send) return {};
  return fail(ErrorKind::unsupported, {.cause = "this end only sends"});
}

Result<void> UdpLink::check(std::size_t size) const {
  BULKHEAD_TRY(expect_sends());
  const std::size_t most = std::min(unit_, options_.max_message_bytes);
  if (size <= most) [[likely]]
    return {};
  return fail(ErrorKind::too_large,
              {.cause = std::to_string(size) + " bytes are more than the " + std::to_string(most) +
                        (most == unit_ ? " that one datagram carries" : " of this channel"),
               .remedy = most == unit_ ? "send less at once, or take tcp"
                                       : "raise ChannelOptions::max_message_bytes at both ends"});
}

Result<void> UdpLink::wait(short events, Deadline deadline) {
  if (deadline == no_wait) return fail(events == POLLIN ? ErrorKind::empty : ErrorKind::full);
  if (BULKHEAD_TRY(os::poll_one(socket_, events, deadline)) != 0) return {};
  return fail(ErrorKind::timed_out);
}

bool UdpLink::send_control(Type type, std::uint32_t sequence) noexcept {
  const auto head =
      udp_frame::pack({.type = type, .sequence = sequence, .session = hearing_.session()});
  return os::retry_eintr([&] {
           return ::send(socket_.native(), head.data(), head.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
         }) >= 0;
}

void UdpLink::say_hello() noexcept {
  const auto hello =
      udp_frame::pack({.type = Type::hello, .session = hearing_.session()}, hearing_.cookie());
  os::retry_eintr([&] {
    return ::send(socket_.native(), hello.data(), hello.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  });
  hello_due_ = Deadline::Clock::now() + hello_pause_;
  hello_pause_ = std::min<Deadline::Clock::duration>(2 * hello_pause_, longest_pause);
}

Result<void> UdpLink::greet(bool is_far, Deadline deadline) {
  const std::lock_guard guard{reading_};
  say_hello();
  // A refusal by this machine is there before the call returns, or very soon after.
  BULKHEAD_TRY(os::poll_one(socket_, POLLIN, 2ms));
  for (int steps = 0;;) {
    Message message;
    auto got = read(message);
    if (got && *got) heard_.push_back(std::move(message));
    if (ended_ && *ended_ == ErrorKind::peer_died) {
      return fail(ErrorKind::not_found,
                  {.cause = "nobody has that port", .remedy = "start the one that listens there"});
    }
    if (hearing_.is_greeted() || ended_) return {};
    if (got && (++steps % patience != 0 || !deadline.expired())) continue;
    if (got) return fail(ErrorKind::timed_out);
    if (got.error() != ErrorKind::empty) return fail(std::move(got).error());
    if (!is_far) return {};
    const Deadline wake = earlier(deadline, Deadline{hello_due_});
    if (BULKHEAD_TRY(os::poll_one(socket_, POLLIN, wake)) != 0) continue;
    if (deadline.expired()) {
      return fail(ErrorKind::timed_out, {.cause = "nobody has answered there"});
    }
    say_hello();
  }
}

/// A call on the socket failed with errno `number`.
Error UdpLink::send_failed(int number) {
  if (closed_) return Error{ErrorKind::closed};
  const std::lock_guard guard{reading_};
  switch (number) {
    case ECONNREFUSED:
      return drain_after_refusal();
    case EMSGSIZE:
      return {ErrorKind::too_large, {.cause = "larger than the network takes in one datagram"}};
    default:
      return Error::from_errno(number, {.operation = "send", .object = "datagram"});
  }
}

/// Nobody has the peer's port: why is behind what it had sent before. That is read now and kept for
/// the receiver; it is never more than the socket held.
Error UdpLink::drain_after_refusal() {
  for (int steps = 0; !ended_; ++steps) {
    Message message;
    auto got = read(message);
    if (got && *got) heard_.push_back(std::move(message));
    if (steps == most_drained || (!got && got.error() == ErrorKind::empty)) {
      ended_ =
          Error{ErrorKind::peer_died, {.cause = "the peer died: nobody has its port any more"}};
    }
  }
  show();
  return *ended_;
}

Result<void> UdpLink::send(Bytes bytes, std::span<Handle> handles, Deadline deadline) {
  BULKHEAD_TRY(check(bytes.size()));
  if (!handles.empty()) {
    return fail(ErrorKind::unsupported, {.cause = "handles cannot leave this machine"});
  }
  BULKHEAD_TRY(use());
  const auto head =
      udp_frame::pack({.type = Type::data, .sequence = sent_, .session = hearing_.session()});
  const std::array parts{part(head.data(), head.size()), part(bytes.data(), bytes.size())};
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  for (;;) {
    if (closed_) return fail(ErrorKind::closed);
    const auto sent = os::retry_eintr(
        [&] { return ::sendmsg(socket_.native(), &message, MSG_NOSIGNAL | MSG_DONTWAIT); });
    if (sent >= 0) [[likely]] {
      ++sent_;
      return {};
    }
    if (errno != EAGAIN) return fail(send_failed(errno));
    BULKHEAD_TRY(wait(POLLOUT, deadline));
  }
}

Result<std::size_t> UdpLink::send_many(std::span<const Bytes> messages, Deadline deadline) {
  for (const Bytes& message : messages) BULKHEAD_TRY(check(message.size()));
  BULKHEAD_TRY(use());
  std::size_t done = 0;
  while (done < messages.size()) {
    const auto some = messages.subspan(done, std::min(messages.size() - done, most_at_once));
    std::array<udp_frame::Head, most_at_once> heads;
    std::array<std::array<iovec, 2>, most_at_once> parts;
    std::array<mmsghdr, most_at_once> batch{};
    for (std::size_t i = 0; i < some.size(); ++i) {
      heads[i] = udp_frame::pack({.type = Type::data,
                                  .sequence = sent_ + static_cast<std::uint32_t>(i),
                                  .session = hearing_.session()});
      parts[i] = {part(heads[i].data(), heads[i].size()), part(some[i].data(), some[i].size())};
      batch[i].msg_hdr.msg_iov = parts[i].data();
      batch[i].msg_hdr.msg_iovlen = parts[i].size();
    }
    if (closed_) return fail(ErrorKind::closed);
    const int sent = os::retry_eintr([&] {
      return ::sendmmsg(socket_.native(), batch.data(), static_cast<unsigned>(some.size()),
                        MSG_NOSIGNAL | MSG_DONTWAIT);
    });
    if (sent > 0) {
      done += static_cast<std::size_t>(sent);
      sent_ += static_cast<std::uint32_t>(sent);
      continue;
    }
    const int number = errno;
    auto waited = number == EAGAIN ? wait(POLLOUT, deadline) : fail(send_failed(number));
    if (waited) continue;
    const bool later = waited.error() == ErrorKind::timed_out || waited.error() == ErrorKind::full;
    if (done == 0 || !later) return fail(std::move(waited).error());
    break;
  }
  return done;
}

Result<void> UdpLink::receive(Message& into, Deadline deadline) {
  BULKHEAD_TRY(expect_receives());
  BULKHEAD_TRY(use());
  // Every eighth call finds out anew which is better.
  const bool looks_first = deadline == no_wait || !waits_first_ || ++waits_ % 8 == 0;
  if (!looks_first) BULKHEAD_TRY(wait_for_more(deadline));
  bool has_waited = false;
  for (int steps = 1;; ++steps) {
    Deadline wake = deadline;
    {
      const std::lock_guard guard{reading_};
      if (closed_) return fail(ErrorKind::closed);
      if (!heard_.empty()) {
        into = std::move(heard_.front());
        heard_.pop_front();
        show();
        return {};
      }
      auto got = read(into);
      show();
      if (got && *got) [[likely]] {
        if (looks_first) waits_first_ = has_waited;
        return {};
      }
      if (closed_) return fail(ErrorKind::closed);
      if (got && steps % patience == 0 && deadline.expired()) {
        return fail(deadline == no_wait ? ErrorKind::empty : ErrorKind::timed_out);
      }
      if (got) continue;
      if (got.error() != ErrorKind::empty) return fail(std::move(got).error());
      if (!hearing_.is_greeted()) {
        if (Deadline::Clock::now() >= hello_due_) say_hello();
        wake = earlier(deadline, Deadline{hello_due_});
      }
    }
    has_waited = true;
    auto waited = wait(POLLIN, deadline == no_wait ? no_wait : wake);
    const bool was_for_hello =
        !waited && waited.error() == ErrorKind::timed_out && wake < deadline && !deadline.expired();
    if (!waited && !was_for_hello) return waited;
  }
}

/// A receiver that had to wait last time waits before it looks: a system call less.
Result<void> UdpLink::wait_for_more(Deadline deadline) {
  {
    const std::lock_guard guard{reading_};
    const bool has_some = ended_ || !heard_.empty() || !early_.empty() || slot_ < filled_;
    if (closed_ || has_some || !hearing_.is_greeted()) return {};
  }
  return wait(POLLIN, deadline);
}

/// True: `into` has a message. False: something else was done. `empty`: nothing is there.
Result<bool> UdpLink::read(Message& into) {
  if (ended_) return fail(*ended_);
  if (!early_.empty()) {
    const Message datagram = std::move(early_.front());
    early_.pop_front();
    return hear(datagram.bytes(), into);
  }
  if (slot_ == filled_) BULKHEAD_TRY(fill_slots());
  if (slot_ == filled_) return false;
  const std::byte* const at = slots_.get() + slot_ * slot_bytes;
  const std::size_t size = sizes_[slot_++];
  return hear({at, size}, into);
}

bool UdpLink::hear(Bytes datagram, Message& into) {
  switch (hearing_.hear(datagram)) {
    case Verdict::deliver:
      if (datagram.size() - udp_frame::header_bytes <= options_.max_message_bytes) {
        into.assign(datagram.subspan(udp_frame::header_bytes));
        return true;
      }
      ended_ = Error{ErrorKind::corrupt,
                     {.cause = "the peer broke the protocol: a message is larger "
                               "than this channel's maximum"}};
      break;
    case Verdict::welcome:
      welcome();
      break;
    case Verdict::greet_again:
      say_hello();
      break;
    case Verdict::ended:
      ended_ = hearing_.error();
      break;
    case Verdict::ignore:
      break;
  }
  return false;
}

Result<void> UdpLink::fill_slots() {
  if (!slots_) slots_ = std::make_unique_for_overwrite<std::byte[]>(most_at_once * slot_bytes);
  std::array<iovec, most_at_once> parts;
  std::array<mmsghdr, most_at_once> batch{};
  for (std::size_t i = 0; i < at_once_; ++i) {
    parts[i] = part(slots_.get() + i * slot_bytes, slot_bytes);
    batch[i].msg_hdr.msg_iov = &parts[i];
    batch[i].msg_hdr.msg_iovlen = 1;
  }
  slot_ = filled_ = 0;
  const int got = os::retry_eintr([&] {
    return ::recvmmsg(socket_.native(), batch.data(), static_cast<unsigned>(at_once_), MSG_DONTWAIT,
                      nullptr);
  });
  if (got < 0) {
    if (errno == EAGAIN) return fail(ErrorKind::empty);
    if (errno != ECONNREFUSED) return os::failed("receive", "datagram");
    // Told before what had arrived, and once.
    static_cast<void>(drain_after_refusal());
    return {};
  }
  filled_ = static_cast<std::size_t>(got);
  std::size_t largest = 0;
  for (std::size_t i = 0; i < filled_; ++i) {
    sizes_[i] = batch[i].msg_len;
    largest = std::max(largest, sizes_[i]);
  }
  const bool more = filled_ == at_once_ && largest <= small_bytes;
  at_once_ = more ? std::min(2 * at_once_, most_at_once) : std::max<std::size_t>(1, filled_ / 2);
  return {};
}

Result<void> UdpLink::await_room(std::size_t size, Deadline deadline) {
  BULKHEAD_TRY(check(size));
  BULKHEAD_TRY(use());
  if (closed_) return fail(ErrorKind::closed);
  const short events = BULKHEAD_TRY(os::poll_one(socket_, POLLOUT, deadline));
  if (events == 0) return fail(deadline == no_wait ? ErrorKind::full : ErrorKind::timed_out);
  return {};
}

Result<void> watch(FdView epoll, FdView fd, std::uint32_t events) {
  epoll_event event{.events = events, .data = {.u64 = 0}};
  if (::epoll_ctl(epoll.native(), EPOLL_CTL_ADD, fd.native(), &event) == 0) return {};
  return os::failed("watch", "socket");
}

Result<FdView> UdpLink::readable() {
  BULKHEAD_TRY(expect_receives());
  BULKHEAD_TRY(use());
  const std::lock_guard guard{reading_};
  if (readable_) return readable_.view();
  Fd epoll = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return os::failed("make", "epoll descriptor");
  BULKHEAD_TRY(more_.open());
  BULKHEAD_TRY(watch(epoll, socket_, EPOLLIN));
  BULKHEAD_TRY(watch(epoll, more_.view(), EPOLLIN));
  show();
  readable_ = std::move(epoll);
  return readable_.view();
}

Result<FdView> UdpLink::writable() {
  BULKHEAD_TRY(expect_sends());
  BULKHEAD_TRY(use());
  if (writable_) return writable_.view();
  Fd epoll = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return os::failed("make", "epoll descriptor");
  BULKHEAD_TRY(watch(epoll, socket_, EPOLLOUT));
  writable_ = std::move(epoll);
  return writable_.view();
}

void UdpLink::close() noexcept {
  if (!socket_ || closed_.exchange(true)) return;
  if (owner_ != ::getpid()) return;  // a forked child's copy: the descriptor goes, no more
  if (hearing_.role() != Role::group) send_control(Type::close, sent_);
  // Wakes our own calls; what was sent is under way.
  ::shutdown(socket_.native(), SHUT_RDWR);
}

Result<Handle> UdpLink::detach() {
  const std::lock_guard guard{using_};
  if (closed_) return fail(ErrorKind::closed);
  if (hearing_.role() != Role::pair) {
    return fail(ErrorKind::unsupported,
                {.cause = "an end of udp that was made by an address stays where it is",
                 .remedy = "connect where it is used"});
  }
  if (used_) {
    return fail(ErrorKind::invalid, {.cause = "this end has been used already",
                                     .remedy = "hand it over before its first use"});
  }
  closed_ = true;
  return Handle{std::move(socket_), Handle::Kind::channel,
                static_cast<std::uint8_t>(Mechanism::udp)};
}

Result<std::unique_ptr<Link>> adopt_udp(Handle handle, const ChannelOptions& options) {
  Fd socket = std::move(handle).take_fd();
  if (!os::is_connected_inet(socket, SOCK_DGRAM)) {
    return fail(
        ErrorKind::invalid,
        {.operation = "adopt", .object = "descriptor", .cause = "it is no connected UDP socket"});
  }
  return make_udp_link(std::move(socket), {}, options);
}

}  // namespace

Result<std::unique_ptr<Link>> make_udp_link(Fd socket, UdpEnd end, const ChannelOptions& options,
                                            bool is_far, Deadline deadline) {
  const Role role = end.hearing.role();
  auto link = std::make_unique<UdpLink>(std::move(socket), std::move(end), options);
  if (role == Role::client) BULKHEAD_TRY(link->greet(is_far, deadline));
  if (role == Role::server) link->welcome();
  return link;
}

const MechanismEntry udp_mechanism{
    .mechanism = Mechanism::udp,
    .capabilities = {.many_clients = true,
                     .other_machine = true,
                     .both_ways = true,
                     .unrelated = true},
    .make_pair = make_udp_pair,
    .adopt = adopt_udp,
    .connect = connect_udp,
    .listen = listen_udp,
};

}  // namespace bulkhead::transport

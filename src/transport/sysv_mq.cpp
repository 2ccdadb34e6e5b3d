// SPDX-License-Identifier: Apache-2.0
#include "transport/sysv_mq.hpp"

#include <array>
#include <cstring>
#include <mutex>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/names.hpp"
#include "os/socket.hpp"
#include "os/syscall.hpp"
#include "transport/mechanism.hpp"
#include "transport/queue_link.hpp"
#include "transport/sysv_mq_bell.hpp"
#include "transport/sysv_mq_queue.hpp"
#include "transport/unix_frame.hpp"
#include "transport/unix_meeting.hpp"
#include "transport/wrong_peer.hpp"

namespace bulkhead::transport {
namespace sysv_mq {
namespace {

using Packet = unix_frame::Type;
constexpr std::size_t type_bytes = sizeof(long);
static_assert(type_bytes <= QueueReader::lead);
constexpr long types = Message::most_priority + 1;
/// A hello, or the name of a record.
constexpr std::size_t longest_payload = 64;
static_assert(longest_payload >= sizeof(Hello));

Result<void> send_packet(FdView socket, std::uint8_t type, Bytes payload,
                         std::span<const int> fds = {}) {
  const unix_frame::Header header{.type = type,
                                  .handles = static_cast<std::uint16_t>(fds.size()),
                                  .payload = static_cast<std::uint32_t>(payload.size())};
  const std::array parts{iovec{const_cast<unix_frame::Header*>(&header), sizeof header},
                         iovec{const_cast<std::byte*>(payload.data()), payload.size()}};
  return os::send_packet(socket, parts, fds);
}

Result<Fd> make_event(unsigned count) {
  Fd event = Fd::adopt(::eventfd(count, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return os::failed("make", "eventfd");
  return event;
}

void ring_own(FdView event) noexcept {
  const std::uint64_t one = 1;
  if (event) static_cast<void>(::write(event.native(), &one, sizeof one));
}

class SysvMqLink final : public QueueLink {
 public:
  SysvMqLink(Fd socket, const ChannelOptions& options)
      : QueueLink(options), socket_(std::move(socket)), direction_(options.direction) {}
  ~SysvMqLink() override { close(); }

  using QueueLink::bind;
  Result<FdView> readable() override;
  Result<FdView> writable() override;

  Mechanism mechanism() const noexcept override { return Mechanism::sysv_mq; }
  Capabilities capabilities() const noexcept override {
    Capabilities can = sysv_mq_mechanism.capabilities;
    can.both_ways = direction_ == Direction::both;
    return can;
  }
  Peer peer() const noexcept override {
    const auto who = os::peer_credentials(socket_);
    return {who.pid, who.uid, who.gid};
  }
  void close() noexcept override;
  Result<Handle> detach() override;

  /// The maker of a pair may have said which way.
  void take_role();

 protected:
  Result<void> bind() override;
  Result<void> put(Bytes unit, unsigned priority) override;
  Result<Unit> take(std::span<std::byte> room) override;
  Result<Woken> await_room(Deadline deadline) override { return await(For::room, deadline); }
  Result<Woken> await_unit(Deadline deadline) override { return await(For::data, deadline); }
  bool arm_room(Deadline deadline) override { return arm(For::room, room_, deadline); }
  bool arm_unit(Deadline deadline) override { return arm(For::data, data_, deadline); }
  bool has_room(std::size_t size) override;
  std::optional<Error> look_for_end() override;
  void hang_up() noexcept override;

 private:
  /// How one half waits.
  struct Half {
    bool armed = false;
    bool outside = false;  // the user polls: armed whenever a call says `empty` or `full`
    Fd epoll;
    Fd first_look;  // an eventfd: what came before the peer knew that we sleep rings no more
  };

  bool arm(For what, Half& half, Deadline deadline);
  void disarm(For what, Half& half) noexcept;
  Result<Woken> await(For what, Deadline deadline);
  Result<FdView> outside(For what, Half& half);
  PeerBells* joined() noexcept;

  // Under control_:
  void read_control();
  bool read_packet();
  Result<void> take_packet(std::uint8_t type, Bytes payload, std::vector<Fd> fds);
  Result<void> take_hello(Bytes payload, std::vector<Fd> fds);
  Result<void> announce(key_t key);
  void inherit(Bytes name, std::vector<Fd> lock) noexcept;
  void clean_up_after_peer() noexcept;
  void note_end(Error error) noexcept;
  bool say_closed() noexcept;
  void end_here() noexcept;

  Fd socket_;
  std::atomic<Direction> direction_;
  std::atomic<pid_t> owner_{::getpid()};
  std::mutex binding_;
  std::atomic<bool> bound_{false};

  std::size_t unit_ = 0;
  Queue out_;
  std::unique_ptr<std::byte[]> staged_;  // a type and a unit that does not lie in the scratch
  std::optional<OwnBells> bells_;
  Fd joined_bell_;       // an eventfd: rings from the moment that the peer's bells are known
  bool looked_ = false;  // the receiver has looked into the peer's queue, not only for its hello
  Half data_;
  Half room_;

  mutable std::mutex control_;
  std::atomic<int> in_{-1};
  std::optional<PeerBells> peer_bells_;  // there for ever once joined_
  std::atomic<bool> joined_{false};
  std::optional<os::NameRecord> record_;
  std::optional<os::NameRecord> inherited_;
  Announcement announced_;
  unsigned announcements_ = 0;
  bool has_role_ = false;
  std::optional<Error> end_;
  bool said_closed_ = false;
  std::atomic<bool> has_end_{false};
};

Result<os::NameRecord> record_of(key_t key) {
  auto record = BULKHEAD_TRY(os::NameRecord::create("sysv"));
  BULKHEAD_TRY(record.add(os::Named::key, std::to_string(key)));
  return record;
}

/// Before the queue is made: to the peer, for when this process dies, and in a record, for when
/// both do.
Result<void> SysvMqLink::announce(key_t key) {
  const Announcement announcement{.key = key, .pid = ::getpid()};
  auto sent = send_packet(socket_, announcement_packet, std::as_bytes(std::span{&announcement, 1}));
  if (!sent && sent.error() != ErrorKind::closed) return sent;
  record_ = BULKHEAD_TRY(record_of(key));
  return {};
}

Result<void> SysvMqLink::bind() {
  if (bound_) [[likely]]
    return {};
  const std::lock_guard guard{binding_};
  if (bound_) return {};
  if (is_closed()) return fail(ErrorKind::closed);
  const std::lock_guard control{control_};
  if (!joined_bell_) joined_bell_ = BULKHEAD_TRY(make_event(0));
  read_control();
  const bool sends = direction_ != Direction::receive;
  const Size size = size_by_limits();
  auto bells = BULKHEAD_TRY(OwnBells::create(options_.trust));
  auto staged = std::make_unique_for_overwrite<std::byte[]>(type_bytes + size.unit);
  if (sends && out_.id < 0) {
    out_ = BULKHEAD_TRY(create_queue([&](key_t key) { return announce(key); }));
    record_->made();
  }
  const Hello hello{.key = out_.key, .unit = size.unit};
  const auto fds = bells.passing();
  auto sent = send_packet(socket_, static_cast<std::uint8_t>(Packet::hello),
                          std::as_bytes(std::span{&hello, 1}), fds);
  // A peer that has gone already may still have left messages.
  if (!sent && sent.error() != ErrorKind::closed) return sent;
  bells.passed();
  has_sizes(sends ? size.unit : 0, size.depth, direction_ != Direction::send ? size.unit : 0);
  unit_ = size.unit;
  staged_ = std::move(staged);
  bells_.emplace(std::move(bells));
  owner_ = ::getpid();
  bound_ = true;
  return {};
}

/// All that the socket has now.
void SysvMqLink::read_control() {
  while (!end_ && read_packet()) {
  }
}

/// False when there is none.
bool SysvMqLink::read_packet() {
  unix_frame::Header header;
  std::array<std::byte, longest_payload> payload;
  const std::array parts{iovec{&header, sizeof header}, iovec{payload.data(), payload.size()}};
  auto packet = os::receive_packet(socket_, parts, 3);
  // A reset is told before what had arrived, and once.
  if (packet && packet->closed) packet = os::receive_packet(socket_, parts, 3);
  if (!packet) {
    if (packet.error() != ErrorKind::empty) note_end(packet.error());
    return false;
  }
  if (packet->closed) {
    note_end(Error{ErrorKind::peer_died});
    return false;
  }
  if (packet->size != sizeof header + header.payload || packet->fds.size() != header.handles) {
    note_end(lie("a packet's header does not fit its content").error());
  } else {
    auto taken =
        take_packet(header.type, Bytes{payload}.first(header.payload), std::move(packet->fds));
    if (!taken) note_end(taken.error());
  }
  return true;
}

/// The rest is for whoever uses this end first, here or where it is handed to.
void SysvMqLink::take_role() {
  const std::lock_guard guard{control_};
  unix_frame::Header next;
  const auto size = os::retry_eintr(
      [&] { return ::recv(socket_.native(), &next, sizeof next, MSG_PEEK | MSG_DONTWAIT); });
  if (size == sizeof next && next.type == role_packet) read_packet();
}

void SysvMqLink::note_end(Error error) noexcept {
  if (end_) return;
  end_ = std::move(error);
  has_end_ = true;
  // What told of it has been read: the hang-up goes on telling who polls.
  if (owner_ == ::getpid()) ::shutdown(socket_.native(), SHUT_RDWR);
}

/// The queue is left to us, and with it the peer's record of it. Without a record it is left to the
/// system when we are killed.
void SysvMqLink::inherit(Bytes name, std::vector<Fd> lock) noexcept {
  if (announced_.key == 0) return;
  if (lock.size() == 1) {
    const std::string file{reinterpret_cast<const char*>(name.data()), name.size()};
    if (auto theirs = os::NameRecord::adopt(std::move(lock[0]), file)) {
      inherited_ = *std::move(theirs);
      return;
    }
  }
  auto record = record_of(announced_.key);
  if (!record) return;
  record->made();
  inherited_ = *std::move(record);
}

/// What a peer that died has left, wherever it was in making it.
void SysvMqLink::clean_up_after_peer() noexcept {
  if (announced_.key == 0 || !end_ || *end_ != ErrorKind::peer_died) return;
  if (const auto queue = find_queue(announced_.key)) remove_queue(queue->id);
  forget_records(announced_.pid, announced_.key);
}

Result<void> SysvMqLink::take_packet(std::uint8_t type, Bytes payload, std::vector<Fd> fds) {
  if (type == role_packet && payload.size() == 1 && !bound_) {
    if (std::exchange(has_role_, true)) return lie("a second direction");
    direction_ = payload[0] == std::byte{1}   ? Direction::send
                 : payload[0] == std::byte{2} ? Direction::receive
                                              : Direction::both;
    return {};
  }
  if (type == announcement_packet && payload.size() == sizeof announced_) {
    // Each costs us nothing, but reading them must end.
    if (++announcements_ > most_keys_tried) return lie("more queues than anybody tries to make");
    std::memcpy(&announced_, payload.data(), sizeof announced_);
    return {};
  }
  switch (static_cast<Packet>(type)) {
    case Packet::hello:
      return take_hello(payload, std::move(fds));
    case Packet::close:
      inherit(payload, std::move(fds));
      return fail(ErrorKind::closed);
    case Packet::refused:
      return fail(ErrorKind::denied, {.cause = "the listener does not let this user in"});
    default:
      return lie("an unknown packet");
  }
}

Result<void> SysvMqLink::take_hello(Bytes payload, std::vector<Fd> fds) {
  Hello theirs;
  if (joined_ || payload.size() != sizeof theirs) return lie("a hello that is none");
  std::memcpy(static_cast<void*>(&theirs), payload.data(), sizeof theirs);
  if (theirs.magic != Hello{}.magic) return lie("the hello of something else");
  if (theirs.version != Hello{}.version) {
    return other_version(theirs.version, Hello{}.version);
  }
  if (theirs.unit != size_by_limits().unit) {
    return fail(ErrorKind::incompatible,
                {.cause = "the peer found other limits of message queues",
                 .remedy = "leave msgmax and msgmnb alone while channels are made"});
  }
  auto bells = BULKHEAD_TRY(PeerBells::adopt(std::move(fds)));
  if (theirs.key != 0) {
    in_ = BULKHEAD_TRY(find_queue(theirs.key)).id;
  }
  peer_bells_.emplace(std::move(bells));
  for (auto [half, what] : {std::pair{&data_, For::data}, {&room_, For::room}}) {
    if (!half->epoll) continue;
    epoll_event event{.events = EPOLLIN, .data = {.u64 = 1}};
    if (::epoll_ctl(half->epoll.native(), EPOLL_CTL_ADD, peer_bells_->watch(what).fd().native(),
                    &event) != 0) {
      return os::failed("watch", "bell");
    }
    ring_own(half->first_look);
  }
  joined_ = true;
  ring_own(joined_bell_);
  return {};
}

PeerBells* SysvMqLink::joined() noexcept {
  if (!joined_) [[unlikely]] {
    const std::lock_guard guard{control_};
    read_control();
  }
  return joined_ ? &*peer_bells_ : nullptr;
}

Result<void> SysvMqLink::put(Bytes unit, unsigned priority) {
  const long type = types - static_cast<long>(priority);
  // The type stands before the bytes: there is room for it in the scratch, but not in the user's.
  auto* at = staged_.get();
  if (in_scratch(unit)) {
    at = const_cast<std::byte*>(unit.data()) - type_bytes;
  } else if (!unit.empty()) {
    std::memcpy(at + type_bytes, unit.data(), unit.size());
  }
  std::memcpy(at, &type, type_bytes);
  if (::msgsnd(out_.id, at, unit.size(), IPC_NOWAIT) == 0) [[likely]] {
    disarm(For::room, room_);
    if (auto* const peer = joined(); peer != nullptr && peer->wants_ring(For::data)) {
      bells_->ring(For::data);
    }
    return {};
  }
  if (errno == EAGAIN) return fail(ErrorKind::full);
  if (errno != EIDRM && errno != EINVAL) return os::failed("send", "message queue");
  // Its reader removes it when it has gone, after it said so.
  if (auto end = look_for_end()) return fail(*std::move(end));
  return is_closed() ? fail(ErrorKind::closed) : lie("somebody removed the queue");
}

bool SysvMqLink::has_room(std::size_t size) {
  msqid_ds state{};
  if (::msgctl(out_.id, IPC_STAT, &state) != 0) return true;  // the send says why
  const std::size_t first = std::min(size + sizeof(queue_frame::Header), unit_);
  return state.__msg_cbytes + first <= state.msg_qbytes;
}

Result<QueueLink::Unit> SysvMqLink::take(std::span<std::byte> room) {
  if (in_ < 0 && (joined() == nullptr || in_ < 0)) return fail(ErrorKind::empty);
  // The kernel writes the type before the bytes, over what is there already of the message.
  std::byte* const at = room.data() - type_bytes;
  std::array<std::byte, type_bytes> before;
  std::memcpy(before.data(), at, type_bytes);
  looked_ = true;
  const auto size = ::msgrcv(in_, at, room.size(), -types, IPC_NOWAIT);
  const int number = errno;
  long type = 0;
  std::memcpy(&type, at, type_bytes);
  std::memcpy(at, before.data(), type_bytes);
  if (size >= 0) [[likely]] {
    disarm(For::data, data_);
    if (peer_bells_->wants_ring(For::room)) bells_->ring(For::room);
    return Unit{static_cast<std::size_t>(size), static_cast<unsigned>(types - type)};
  }
  if (number == ENOMSG || is_closed()) return fail(ErrorKind::empty);
  if (number == E2BIG) return lie("a unit that is too large");
  if (number == EIDRM || number == EINVAL) return lie("somebody removed the queue");
  errno = number;
  return os::failed("receive", "message queue");
}

bool SysvMqLink::arm(For what, Half& half, Deadline deadline) {
  if (deadline == no_wait && !half.outside) return false;
  if (half.outside) {
    std::uint64_t once = 0;
    static_cast<void>(::read(half.first_look.native(), &once, sizeof once));
    if (joined_) peer_bells_->watch(what).drain();
  }
  bells_->arm(what);
  half.armed = true;
  return true;
}

void SysvMqLink::disarm(For what, Half& half) noexcept {
  if (!half.armed || half.outside) [[likely]]
    return;
  bells_->disarm(what);
  half.armed = false;
}

Result<QueueLink::Woken> SysvMqLink::await(For what, Deadline deadline) {
  std::array<pollfd, 2> fds{{{.fd = socket_.native(), .events = POLLIN, .revents = 0},
                             {.fd = -1, .events = POLLIN, .revents = 0}}};
  if (has_end_) return Woken::by_end;
  const bool has_bell = joined_;
  // The other half of this end may be the one that reads the peer's hello.
  fds[1].fd = (has_bell ? peer_bells_->watch(what).fd() : joined_bell_.view()).native();
  if (what == For::data && has_bell && !looked_) return Woken::by_queue;
  if (BULKHEAD_TRY(os::poll(fds, deadline)) == 0) return fail(ErrorKind::timed_out);
  if (has_bell && fds[1].revents != 0) peer_bells_->watch(what).drain();
  return fds[0].revents != 0 ? Woken::by_end : Woken::by_queue;
}

std::optional<Error> SysvMqLink::look_for_end() {
  const std::lock_guard guard{control_};
  read_control();
  return end_;
}

/// The record of our queue goes with the word: it holds from now on as long as the peer lives, even
/// one that never looks.
bool SysvMqLink::say_closed() noexcept {
  const auto type = static_cast<std::uint8_t>(Packet::close);
  if (!record_ || end_) return send_packet(socket_, type, {}).has_value();
  const std::string name = record_->file_name();
  const std::array lock{record_->lock().native()};
  const Bytes payload = std::as_bytes(std::span{name});
  if (send_packet(socket_, type, payload, lock)) {
    record_->leave();
    record_.reset();
    return true;
  }
  // Too many descriptors are under way, perhaps.
  return send_packet(socket_, type, {}).has_value();
}

void SysvMqLink::hang_up() noexcept {
  if (owner_ != ::getpid()) return;
  const std::lock_guard guard{control_};
  end_here();
}

void SysvMqLink::end_here() noexcept {
  said_closed_ = said_closed_ || say_closed();
  // Wakes our own calls.
  ::shutdown(socket_.native(), SHUT_RDWR);
}

Result<FdView> SysvMqLink::outside(For what, Half& half) {
  const std::lock_guard guard{control_};
  if (half.epoll) return half.epoll.view();
  Fd made = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!made) return os::failed("make", "epoll descriptor");
  Fd first_look = BULKHEAD_TRY(make_event(1));
  epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
  if (::epoll_ctl(made.native(), EPOLL_CTL_ADD, socket_.native(), &event) != 0 ||
      ::epoll_ctl(made.native(), EPOLL_CTL_ADD, first_look.native(), &event) != 0 ||
      (joined_ && ::epoll_ctl(made.native(), EPOLL_CTL_ADD, peer_bells_->watch(what).fd().native(),
                              &event) != 0)) {
    return os::failed("watch", "bell");
  }
  half.epoll = std::move(made);
  half.first_look = std::move(first_look);
  half.outside = true;
  bells_->arm(what);
  half.armed = true;
  return half.epoll.view();
}

Result<FdView> SysvMqLink::readable() {
  BULKHEAD_TRY(bind());
  BULKHEAD_TRY(expect_receives());
  return outside(For::data, data_);
}

Result<FdView> SysvMqLink::writable() {
  BULKHEAD_TRY(bind());
  BULKHEAD_TRY(expect_sends());
  return outside(For::room, room_);
}

void SysvMqLink::close() noexcept {
  if (!socket_ || !begin_close()) return;
  if (owner_ != ::getpid()) return;  // a forked child's copy: the descriptor goes, no more
  const std::lock_guard guard{control_};
  read_control();
  end_here();
  // No more can come; a record that was left to us, and not read because we had ended already, may
  // have. That our own shutdown reads like a hang-up tells nothing of the peer.
  const std::optional<Error> known = end_;
  while (read_packet()) {
  }
  end_ = known;
  // Who still sends into it has heard that we are gone. What we sent is for the peer, if there is
  // one.
  remove_queue(in_);
  if (in_ < 0 && inherited_) {
    if (const auto queue = find_queue(announced_.key)) remove_queue(queue->id);
  }
  if (end_ || !said_closed_) remove_queue(out_.id);
  clean_up_after_peer();
  inherited_.reset();
  record_.reset();
}

Result<Handle> SysvMqLink::detach() {
  const std::lock_guard guard{binding_};
  if (is_closed()) return fail(ErrorKind::closed);
  if (bound_) {
    return fail(ErrorKind::invalid, {.cause = "this end has been used already",
                                     .remedy = "hand it over before its first use"});
  }
  begin_close();
  return Handle{std::move(socket_), Handle::Kind::channel,
                static_cast<std::uint8_t>(Mechanism::sysv_mq)};
}

Result<LinkPair> make_pair(const ChannelOptions& options) {
  auto [first, second] = BULKHEAD_TRY(os::socket_pair());
  ChannelOptions other = options;
  other.direction = opposite(options.direction);
  if (options.direction != Direction::both) {
    const auto tells = [](FdView socket, Direction direction) {
      const auto role = static_cast<std::byte>(direction);
      return send_packet(socket, role_packet, {&role, 1});
    };
    BULKHEAD_TRY(tells(first, other.direction));
    BULKHEAD_TRY(tells(second, options.direction));
  }
  return LinkPair{std::make_unique<SysvMqLink>(std::move(first), options),
                  std::make_unique<SysvMqLink>(std::move(second), other)};
}

}  // namespace

Result<std::unique_ptr<Link>> adopt_socket(Fd socket, const ChannelOptions& options) {
  msginfo limits{};
  // In a sandbox, which answers this call so whatever is asked.
  if (::msgctl(0, IPC_INFO, reinterpret_cast<msqid_ds*>(&limits)) < 0 && errno == EPERM) {
    BULKHEAD_TRY(check_fits_sandbox(Mechanism::sysv_mq));
  }
  if (!os::is_packet_socket(socket) || !os::is_connected(socket)) {
    return fail(ErrorKind::invalid, {.operation = "adopt",
                                     .object = "descriptor",
                                     .cause = "it is not the socket of a sysv channel"});
  }
  auto link = std::make_unique<SysvMqLink>(std::move(socket), options);
  link->take_role();
  return link;
}

}  // namespace sysv_mq

const MechanismEntry sysv_mq_mechanism{
    .mechanism = Mechanism::sysv_mq,
    .capabilities = {.priority = true,
                     .many_clients = true,
                     .both_ways = true,
                     .unrelated = true,
                     .reliable = true,
                     .tells_death = true},
    .make_pair = sysv_mq::make_pair,
    .adopt =
        [](Handle handle, const ChannelOptions& options) {
          return sysv_mq::adopt_socket(std::move(handle).take_fd(), options);
        },
    .connect = sysv_mq::connect,
    .listen = sysv_mq::listen,
    .unfit_for_sandbox = "it finds queues by their numbers, which lead to all of this user's",
};

}  // namespace bulkhead::transport

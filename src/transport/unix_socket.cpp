// SPDX-License-Identifier: Apache-2.0
#include "transport/unix_socket.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <deque>
#include <mutex>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/socket.hpp"
#include "os/syscall.hpp"
#include "transport/aside.hpp"
#include "transport/mechanism.hpp"
#include "transport/nap.hpp"
#include "transport/unix_frame.hpp"
#include "transport/unix_meeting.hpp"
#include "transport/wrong_peer.hpp"

namespace bulkhead::transport {
namespace {

using unix_frame::Header;
using unix_frame::Hello;
using unix_frame::Tag;
using unix_frame::Type;

/// Kept free in the socket's buffer for the close packet, in the unit of SO_SNDBUF (the kernel
/// doubles it): one largest packet, by which a buffer may be overfull.
constexpr int close_room = 64 * 1024;
constexpr int least_buffer = 8 * 1024;

/// TRUST: a peer can go on sending packets that make no message. After so many a call looks at the
/// clock, or whether they can ever end.
constexpr int patience = 256;

iovec part(const void* data, std::size_t size) { return {const_cast<void*>(data), size}; }

class UnixLink final : public LinkWithoutMemory {
 public:
  UnixLink(Fd socket, const ChannelOptions& options)
      : socket_(std::move(socket)), options_(options), owner_(::getpid()) {}
  ~UnixLink() override { close(); }

  Result<void> send(Bytes bytes, std::span<Handle> handles, Deadline deadline) override;
  Result<void> send_part(Bytes bytes, std::span<Handle> handles, std::size_t& done) override;
  void abort_part(std::size_t done) noexcept override;
  Result<void> receive(Message& into, Deadline deadline) override;
  Result<FdView> readable() override;
  Result<FdView> writable() override;

  Mechanism mechanism() const noexcept override { return Mechanism::unix_socket; }
  Capabilities capabilities() const noexcept override { return unix_mechanism.capabilities; }
  Peer peer() const noexcept override {
    const auto who = os::peer_credentials(socket_);
    return {who.pid, who.uid, who.gid};
  }
  void close() noexcept override;
  Result<void> bind(Deadline) override { return bind(); }
  Result<Handle> detach() override;

 protected:
  Result<void> await_room(std::size_t size, Deadline deadline) override;

 private:
  enum class Step : std::uint8_t { delivered, more };

  Result<void> bind();
  Result<void> check_size(std::size_t size) const;
  Result<void> check_handles(std::span<const Handle> handles) const;
  Result<void> check_handle_count(std::size_t count, Deadline deadline);
  Result<void> send_frame(Type type, bool last, Bytes payload, std::span<const Handle> handles,
                          Deadline deadline);
  Result<void> send_all(Bytes bytes, std::span<const Handle> handles, std::size_t& done,
                        Deadline deadline);
  Result<void> pay_abort(Deadline deadline);
  bool has_hung_up() const;
  Error why_ended();

  // Under reading_:
  Result<Step> read_packet(Message& into);
  Result<Step> take(const Header& header, Message& into, std::span<std::byte> body,
                    std::vector<Fd> fds);
  Result<Step> take_hello(std::span<const std::byte> payload);
  Result<void> take_handles(std::span<const std::byte> tags, std::vector<Fd> fds);
  Result<void> take_message(Message& into);
  std::unexpected<Error> end(Error error);

  Fd socket_;
  const ChannelOptions options_;

  std::mutex binding_;
  std::atomic<bool> bound_{false};
  std::atomic<bool> closed_{false};
  std::atomic<pid_t> owner_;

  // The sending half.
  std::size_t piece_ = unix_frame::most_payload;
  std::size_t at_once_ = 0;  // fits the empty buffer
  bool abort_owed_ = false;
  Fd writable_;

  // The receiving half. The sender comes here too when it finds the peer gone.
  std::mutex reading_;
  std::unique_ptr<std::byte[]> scratch_;
  NapHabit nap_;
  Message partial_;
  bool in_pieces_ = false;
  bool greeted_ = false;
  std::uint32_t peer_takes_ = 0;  // handles in one message
  std::vector<Handle> gathered_;
  std::deque<Message> early_;
  std::optional<Error> ended_;
};

/// Room for the payload of the largest packet and its tags.
constexpr std::size_t scratch_bytes = unix_frame::most_payload + os::max_packet_fds * sizeof(Tag);

Result<void> UnixLink::bind() {
  if (bound_) [[likely]]
    return {};
  const std::lock_guard guard{binding_};
  if (bound_) return {};
  if (closed_) return fail(ErrorKind::closed);
  owner_ = ::getpid();
  // The kernel gives at most net.core.wmem_max: ask for all, then keep the close packet's part.
  const auto wanted = std::clamp<std::size_t>(options_.capacity_bytes, least_buffer, 1 << 30);
  os::set_send_buffer(socket_, static_cast<int>(wanted) + close_room);
  const int given = os::send_buffer(socket_) / 2;
  os::set_send_buffer(socket_, std::max(least_buffer, given - close_room));
  // Half of it is for what the kernel adds to each packet.
  at_once_ = static_cast<std::size_t>(os::send_buffer(socket_)) / 2;
  piece_ = std::clamp<std::size_t>(at_once_ / 2, 1024, unix_frame::most_payload);
  const Hello hello{.most_handles =
                        static_cast<std::uint32_t>(unix_frame::most_handles(options_.trust))};
  const Header header{.type = static_cast<std::uint8_t>(Type::hello), .payload = sizeof hello};
  const std::array parts{part(&header, sizeof header), part(&hello, sizeof hello)};
  if (auto sent = os::send_packet(socket_, parts); !sent && sent.error() != ErrorKind::closed) {
    return sent;  // a peer that has gone already may still have left messages
  }
  bound_ = true;
  return {};
}

Result<void> UnixLink::check_size(std::size_t size) const {
  if (size <= options_.max_message_bytes) return {};
  return fail(ErrorKind::too_large,
              {.cause = std::to_string(size) + " bytes are more than the channel's maximum of " +
                        std::to_string(options_.max_message_bytes),
               .remedy = "raise ChannelOptions::max_message_bytes at both ends"});
}

Result<void> UnixLink::check_handles(std::span<const Handle> handles) const {
  for (const Handle& handle : handles) {
    if (handle.is_local()) {
      return fail(ErrorKind::unsupported,
                  {.cause = "an inproc channel cannot leave its process",
                   .remedy = "make the pair with a mechanism between processes"});
    }
    if (!handle.fd()) return fail(ErrorKind::invalid, {.cause = "a handle without a descriptor"});
  }
  return {};
}

/// So many handles as everybody takes may go before the peer's hello; for more it is waited for.
Result<void> UnixLink::check_handle_count(std::size_t count, Deadline deadline) {
  if (count <= unix_frame::most_handles(Trust::untrusted)) return {};
  for (;;) {
    {
      const std::lock_guard guard{reading_};
      if (closed_) return fail(ErrorKind::closed);
      if (ended_) return fail(*ended_);
      if (greeted_) break;
      Message none;  // the first packet is the hello, or the end
      if (auto step = read_packet(none); !step && step.error() != ErrorKind::empty) {
        return fail(std::move(step).error());
      } else if (step) {
        continue;
      }
    }
    if (deadline == no_wait) return fail(ErrorKind::full);
    if (BULKHEAD_TRY(os::poll_one(socket_, POLLIN, deadline)) == 0) {
      return fail(ErrorKind::timed_out);
    }
  }
  const std::size_t most =
      std::min<std::size_t>(peer_takes_, unix_frame::most_handles(Trust::equal));
  if (count <= most) return {};
  return fail(ErrorKind::too_large,
              {.cause = std::to_string(count) + " handles are more than the " +
                        std::to_string(most) + " that one message carries"});
}

Result<void> UnixLink::send_frame(Type type, bool last, Bytes payload,
                                  std::span<const Handle> handles, Deadline deadline) {
  const Header header{.type = static_cast<std::uint8_t>(type),
                      .last = last ? std::uint8_t{1} : std::uint8_t{0},
                      .handles = static_cast<std::uint16_t>(handles.size()),
                      .payload = static_cast<std::uint32_t>(payload.size())};
  std::array<Tag, os::max_packet_fds> tags;
  std::array<int, os::max_packet_fds> fds;
  for (std::size_t i = 0; i < handles.size(); ++i) {
    tags[i] = {static_cast<std::uint8_t>(handles[i].kind()), handles[i].mechanism()};
    fds[i] = handles[i].fd().native();
  }
  const std::array parts{part(&header, sizeof header), part(payload.data(), payload.size()),
                         part(tags.data(), handles.size() * sizeof(Tag))};
  for (;;) {
    if (closed_) return fail(ErrorKind::closed);
    auto sent = os::send_packet(socket_, parts, std::span{fds}.first(handles.size()));
    if (sent) [[likely]]
      return {};
    if (sent.error() == ErrorKind::closed) return fail(why_ended());
    if (sent.error() != ErrorKind::full || deadline == no_wait) return sent;
    if (BULKHEAD_TRY(os::poll_one(socket_, POLLOUT, deadline)) == 0) {
      return fail(ErrorKind::timed_out);
    }
  }
}

Result<void> UnixLink::pay_abort(Deadline deadline) {
  if (!abort_owed_) [[likely]]
    return {};
  BULKHEAD_TRY(send_frame(Type::abort, false, {}, {}, deadline));
  abort_owed_ = false;
  return {};
}

/// `done` counts handles and then bytes that have gone: a call made again goes on from there.
Result<void> UnixLink::send_all(Bytes bytes, std::span<const Handle> handles, std::size_t& done,
                                Deadline deadline) {
  const bool whole = bytes.size() <= piece_ && handles.size() <= os::max_packet_fds;
  if (whole) return send_frame(Type::whole, false, bytes, handles, deadline);
  while (done < handles.size()) {
    const auto some = handles.subspan(done, std::min(handles.size() - done, os::max_packet_fds));
    BULKHEAD_TRY(send_frame(Type::handles, false, {}, some, deadline));
    done += some.size();
  }
  for (;;) {
    const std::size_t from = done - handles.size();
    const auto some = bytes.subspan(from, std::min(bytes.size() - from, piece_));
    const bool last = from + some.size() == bytes.size();
    BULKHEAD_TRY(send_frame(Type::piece, last, some, {}, deadline));
    done += some.size();
    if (last) return {};
  }
}

Result<void> UnixLink::send(Bytes bytes, std::span<Handle> handles, Deadline deadline) {
  BULKHEAD_TRY(check_size(bytes.size()));
  BULKHEAD_TRY(check_handles(handles));
  BULKHEAD_TRY(bind());
  BULKHEAD_TRY(check_handle_count(handles.size(), deadline));
  if (deadline == no_wait && bytes.size() > at_once_) {
    return fail(ErrorKind::too_large,
                {.cause = std::to_string(bytes.size()) + " bytes cannot go without waiting",
                 .remedy = "send with a deadline, or raise ChannelOptions::capacity_bytes"});
  }
  BULKHEAD_TRY(pay_abort(deadline));
  std::size_t done = 0;
  auto sent = send_all(bytes, handles, done, deadline);
  if (!sent) abort_part(done);
  return sent;
}

void UnixLink::abort_part(std::size_t done) noexcept {
  if (done == 0) return;
  abort_owed_ = true;  // the buffer may be full of what is to be aborted: then the next send pays
  static_cast<void>(pay_abort(no_wait));
}

Result<void> UnixLink::send_part(Bytes bytes, std::span<Handle> handles, std::size_t& done) {
  if (done == 0) {
    BULKHEAD_TRY(check_size(bytes.size()));
    BULKHEAD_TRY(check_handles(handles));
    BULKHEAD_TRY(bind());
    BULKHEAD_TRY(check_handle_count(handles.size(), no_wait));
    BULKHEAD_TRY(pay_abort(no_wait));
  }
  return send_all(bytes, handles, done, no_wait);
}

/// The peer sends nothing any more. The kernel refuses our packets a moment before it tells.
bool UnixLink::has_hung_up() const {
  const auto events = os::poll_one(socket_, POLLRDHUP, std::chrono::milliseconds{1});
  return !events || *events != 0;
}

/// The peer takes nothing any more: why is behind what it had sent before. That is read now, kept
/// for the receiver, and never more than the socket held.
Error UnixLink::why_ended() {
  if (closed_) return Error{ErrorKind::closed};
  const std::lock_guard guard{reading_};
  for (int steps = 1; !ended_; ++steps) {
    Message message;
    auto step = read_packet(message);
    if (step && *step == Step::delivered) early_.push_back(std::move(message));
    // It has only shut its receiving side, and may send for ever.
    const bool may_go_on = step ? steps % patience == 0 : step.error() == ErrorKind::empty;
    if (!may_go_on || has_hung_up()) continue;
    if (early_.empty()) return Error{ErrorKind::closed};
    // What was kept is not to grow with every send, and who polls is to hear of it.
    static_cast<void>(end(Error{ErrorKind::closed}));
  }
  return *ended_;
}

Result<void> UnixLink::receive(Message& into, Deadline deadline) {
  BULKHEAD_TRY(bind());
  for (int steps = 1;; ++steps) {
    {
      const std::lock_guard guard{reading_};
      if (closed_) return fail(ErrorKind::closed);
      if (!early_.empty()) {
        into = std::move(early_.front());
        early_.pop_front();
        return {};
      }
      const bool waits = steps == 1 && deadline != no_wait && !ended_ && nap_.expects();
      auto step = ended_  ? Result<Step>{fail(*ended_)}
                  : waits ? Result<Step>{fail(ErrorKind::empty)}
                          : read_packet(into);
      if (step && *step == Step::delivered) [[likely]]
        return {};
      if (step) {
        if (steps % patience != 0 || !deadline.expired()) continue;
        return fail(deadline == no_wait ? ErrorKind::empty : ErrorKind::timed_out);
      }
      if (closed_) return fail(ErrorKind::closed);
      if (step.error() != ErrorKind::empty) return fail(std::move(step).error());
      if (!waits) nap_.slept();
    }
    if (deadline == no_wait) return fail(ErrorKind::empty);
    if (BULKHEAD_TRY(os::poll_one(socket_, POLLIN, deadline)) == 0) {
      return fail(ErrorKind::timed_out);
    }
  }
}

std::unexpected<Error> UnixLink::end(Error error) {
  ended_ = error;
  partial_ = {};
  gathered_.clear();
  // A peer that broke the protocol learns by the hang-up; one that has gone does not mind.
  if (owner_ == ::getpid()) ::shutdown(socket_.native(), SHUT_RDWR);
  return fail(std::move(error));
}

Result<UnixLink::Step> UnixLink::read_packet(Message& into) {
  if (!scratch_) scratch_ = std::make_unique_for_overwrite<std::byte[]>(scratch_bytes);
  Header header;
  into.clear();
  // The start of a message goes where it belongs at once, the rest of a longer one by the scratch.
  const auto start = into.resize(Message::inline_bytes);
  const std::array parts{part(&header, sizeof header), part(start.data(), start.size()),
                         part(scratch_.get(), scratch_bytes)};
  auto packet = os::receive_packet(socket_, parts, os::max_packet_fds);
  // A reset is told before what had arrived, and once; the end of the stream after it, for ever.
  if (packet && packet->closed) packet = os::receive_packet(socket_, parts, os::max_packet_fds);
  if (!packet) {
    into.clear();
    if (packet.error() == ErrorKind::empty) return fail(ErrorKind::empty);
    return end(std::move(packet).error());
  }
  if (packet->closed) return end(Error{ErrorKind::peer_died});
  if (packet->size < sizeof header) return end(lie("a packet without a header").error());
  const std::size_t body = packet->size - sizeof header;
  if (body != header.payload + header.handles * sizeof(Tag) ||
      header.payload > unix_frame::most_payload || packet->fds.size() != header.handles) {
    return end(lie("a packet's header does not fit its content").error());
  }
  try {
    const auto whole = into.resize(body);
    if (body > start.size()) {
      std::memcpy(whole.data() + start.size(), scratch_.get(), body - start.size());
    }
    auto step = take(header, into, whole, std::move(packet->fds));
    if (!step && !ended_) return end(std::move(step).error());
    return step;
  } catch (const std::bad_alloc&) {
    // A part of a message is lost, and with it the order that was promised.
    return end({ErrorKind::exhausted, {.cause = "no memory for a message that arrived"}});
  }
}

Result<UnixLink::Step> UnixLink::take(const Header& header, Message& into,
                                      std::span<std::byte> body, std::vector<Fd> fds) {
  const auto payload = body.first(header.payload);
  const auto type = static_cast<Type>(header.type);
  if (type == Type::close) return end(Error{ErrorKind::closed});
  if (!greeted_) {
    if (type == Type::hello) return take_hello(payload);
    if (type == Type::refused) {
      return fail(ErrorKind::denied, {.cause = "the listener does not let this user in"});
    }
    return lie("no hello");
  }
  if (in_pieces_ && type != Type::piece && type != Type::abort) return lie("a piece is missing");
  BULKHEAD_TRY(take_handles(body.subspan(header.payload), std::move(fds)));
  switch (type) {
    case Type::whole:
      into.resize(payload.size());
      BULKHEAD_TRY(take_message(into));
      return Step::delivered;
    case Type::piece: {
      const std::size_t before = partial_.size();
      if (payload.size() > options_.max_message_bytes - before) {
        return lie("a message is larger than this channel's maximum");
      }
      in_pieces_ = true;
      if (!payload.empty()) {
        std::memcpy(partial_.resize(before + payload.size()).data() + before, payload.data(),
                    payload.size());
      }
      if (header.last == 0) return Step::more;
      in_pieces_ = false;
      into = std::move(partial_);
      BULKHEAD_TRY(take_message(into));
      return Step::delivered;
    }
    case Type::handles:
      return Step::more;
    case Type::abort:
      in_pieces_ = false;
      partial_ = {};
      gathered_.clear();
      return Step::more;
    default:
      return lie("an unknown packet");
  }
}

Result<UnixLink::Step> UnixLink::take_hello(std::span<const std::byte> payload) {
  Hello theirs;
  // Of another version's hello only the part that all versions share is looked at.
  if (payload.size() < offsetof(Hello, most_handles)) return lie("a hello that is too short");
  std::memcpy(static_cast<void*>(&theirs), payload.data(), std::min(payload.size(), sizeof theirs));
  if (theirs.magic != Hello{}.magic) return lie("the hello of something else");
  if (theirs.version != Hello{}.version) {
    return other_version(theirs.version, Hello{}.version);
  }
  if (payload.size() != sizeof theirs) return lie("a hello of the wrong size");
  peer_takes_ = theirs.most_handles;
  greeted_ = true;
  return Step::more;
}

Result<void> UnixLink::take_handles(std::span<const std::byte> tags, std::vector<Fd> fds) {
  if (fds.empty()) return {};
  if (gathered_.size() + fds.size() > unix_frame::most_handles(options_.trust)) {
    return lie("too many handles");
  }
  for (std::size_t i = 0; i < fds.size(); ++i) {
    const auto kind = static_cast<std::uint8_t>(tags[i * sizeof(Tag)]);
    const auto mechanism = static_cast<std::uint8_t>(tags[i * sizeof(Tag) + 1]);
    if (kind > static_cast<std::uint8_t>(Handle::Kind::channel)) return lie("an unknown handle");
    gathered_.emplace_back(std::move(fds[i]), static_cast<Handle::Kind>(kind), mechanism);
  }
  return {};
}

Result<void> UnixLink::take_message(Message& into) {
  if (into.size() > options_.max_message_bytes) {
    return lie("a message is larger than this channel's maximum");
  }
  if (!gathered_.empty()) {
    into.handles() = std::move(gathered_);
    gathered_.clear();
  }
  return {};
}

Result<void> UnixLink::await_room(std::size_t size, Deadline deadline) {
  BULKHEAD_TRY(check_size(size));
  BULKHEAD_TRY(bind());
  if (closed_) return fail(ErrorKind::closed);
  const short events = BULKHEAD_TRY(os::poll_one(socket_, POLLOUT, deadline));
  if (events == 0) return fail(deadline == no_wait ? ErrorKind::full : ErrorKind::timed_out);
  return {};
}

Result<FdView> UnixLink::readable() {
  BULKHEAD_TRY(bind());
  return socket_.view();
}

Result<FdView> UnixLink::writable() {
  BULKHEAD_TRY(bind());
  if (writable_) return writable_.view();
  Fd epoll = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return os::failed("make", "epoll descriptor");
  epoll_event event{.events = EPOLLOUT, .data = {.u64 = 0}};
  if (::epoll_ctl(epoll.native(), EPOLL_CTL_ADD, socket_.native(), &event) != 0) {
    return os::failed("watch", "socket");
  }
  writable_ = std::move(epoll);
  return writable_.view();
}

void UnixLink::close() noexcept {
  if (!socket_ || closed_.exchange(true)) return;
  if (owner_ != ::getpid()) return;  // a forked child's copy: the descriptor goes, no more
  if (bound_) os::set_send_buffer(socket_, os::send_buffer(socket_) / 2 + close_room);
  const Header header{.type = static_cast<std::uint8_t>(Type::close)};
  const iovec parts = part(&header, sizeof header);
  static_cast<void>(os::send_packet(socket_, {&parts, 1}));
  // Wakes our own calls; what was sent stays with the peer.
  ::shutdown(socket_.native(), SHUT_RDWR);
}

Result<Handle> UnixLink::detach() {
  const std::lock_guard guard{binding_};
  if (closed_) return fail(ErrorKind::closed);
  if (bound_) {
    return fail(ErrorKind::invalid, {.cause = "this end has been used already",
                                     .remedy = "hand it over before its first use"});
  }
  closed_ = true;
  return Handle{std::move(socket_), Handle::Kind::channel,
                static_cast<std::uint8_t>(Mechanism::unix_socket)};
}

}  // namespace

Result<std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>>> make_unix_pair(
    const ChannelOptions& options) {
  auto [first, second] = BULKHEAD_TRY(os::socket_pair());
  return std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>>{
      std::make_unique<UnixLink>(std::move(first), options),
      std::make_unique<UnixLink>(std::move(second), options)};
}

Result<std::unique_ptr<Link>> adopt_unix(Fd socket, const ChannelOptions& options) {
  if (!os::is_packet_socket(socket) || !os::is_connected(socket)) {
    return fail(ErrorKind::invalid, {.operation = "adopt",
                                     .object = "descriptor",
                                     .cause = "it is not a connected Unix socket that keeps "
                                              "message boundaries (SOCK_SEQPACKET)"});
  }
  return std::make_unique<UnixLink>(std::move(socket), options);
}

void refuse_unix(FdView socket) noexcept {
  const Header header{.type = static_cast<std::uint8_t>(Type::refused)};
  const iovec parts = part(&header, sizeof header);
  static_cast<void>(os::send_packet(socket, {&parts, 1}));
}

}  // namespace bulkhead::transport

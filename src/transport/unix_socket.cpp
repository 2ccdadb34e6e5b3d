// SPDX-License-Identifier: Apache-2.0
#include "transport/unix_socket.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "os/syscall.hpp"
#include "transport/unix_link.hpp"
#include "transport/unix_meeting.hpp"

namespace bulkhead::transport {

using unix_frame::EntrySize;
using unix_frame::Header;
using unix_frame::Hello;
using unix_frame::Tag;
using unix_frame::Type;

namespace {

/// Kept free in the socket's buffer for the close packet, in the unit of SO_SNDBUF (the kernel
/// doubles it): one largest packet, by which a buffer may be overfull.
constexpr int close_room = 64 * 1024;
constexpr int least_buffer = 8 * 1024;

/// Copying so much costs less than having the kernel put together what lies apart.
constexpr std::size_t short_payload = 512;

iovec part(const void* data, std::size_t size) { return {const_cast<void*>(data), size}; }

}  // namespace

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
  std::array<std::byte, sizeof header + short_payload> together;
  const bool is_short = handles.empty() && payload.size() <= short_payload;
  if (is_short) {
    std::memcpy(together.data(), &header, sizeof header);
    if (!payload.empty()) {
      std::memcpy(together.data() + sizeof header, payload.data(), payload.size());
    }
  }
  for (;;) {
    if (closed_) return fail(ErrorKind::closed);
    auto sent =
        is_short ? os::send_packet(socket_, Bytes{together}.first(sizeof header + payload.size()))
                 : os::send_packet(socket_, parts, std::span{fds}.first(handles.size()));
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

/// How many of these go into one packet; copying those that are not short costs more than a call.
std::size_t UnixLink::batch_of(std::span<const Bytes> messages) const {
  const std::size_t most = std::min(piece_, unix_frame::most_batch);
  std::size_t bytes = 0;
  std::size_t count = 0;
  for (const Bytes message : messages) {
    bytes += sizeof(EntrySize) + message.size();
    if (bytes > most || message.size() > std::min(most / 4, options_.max_message_bytes)) break;
    ++count;
  }
  return count;
}

Result<void> UnixLink::send_batch(std::span<const Bytes> messages, Deadline deadline) {
  if (!staged_) staged_ = std::make_unique_for_overwrite<std::byte[]>(unix_frame::most_batch);
  std::byte* at = staged_.get();
  for (const Bytes message : messages) {
    const auto size = static_cast<EntrySize>(message.size());
    std::memcpy(at, &size, sizeof size);
    if (size > 0) std::memcpy(at + sizeof size, message.data(), size);
    at += sizeof size + size;
  }
  return send_frame(Type::batch, false, {staged_.get(), at}, {}, deadline);
}

Result<std::size_t> UnixLink::send_many(std::span<const Bytes> messages, Deadline deadline) {
  BULKHEAD_TRY(bind());
  std::size_t sent = 0;
  while (sent < messages.size()) {
    const auto rest = messages.subspan(sent);
    const auto step = [&]() -> Result<std::size_t> {
      BULKHEAD_TRY(pay_abort(deadline));
      if (const std::size_t count = batch_of(rest); count > 1) {
        auto batch = send_batch(rest.first(count), deadline);
        if (batch) return count;
        // There may be room for the first of them.
        if (batch.error() != ErrorKind::full) return fail(std::move(batch).error());
      }
      BULKHEAD_TRY(send(rest[0], {}, deadline));
      return 1;
    }();
    if (!step) {
      const bool later = step.error() == ErrorKind::timed_out || step.error() == ErrorKind::full;
      if (sent == 0 || !later) return step;
      break;
    }
    sent += *step;
  }
  return sent;
}

Result<void> UnixLink::await_room(std::size_t size, Deadline deadline) {
  BULKHEAD_TRY(check_size(size));
  BULKHEAD_TRY(bind());
  if (closed_) return fail(ErrorKind::closed);
  const short events = BULKHEAD_TRY(os::poll_one(socket_, POLLOUT, deadline));
  if (events == 0) return fail(deadline == no_wait ? ErrorKind::full : ErrorKind::timed_out);
  return {};
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

// SPDX-License-Identifier: Apache-2.0
//
// The sending side of fifo_gathering.hpp.
#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "os/pipe.hpp"
#include "os/signal_fd.hpp"
#include "os/syscall.hpp"
#include "transport/aside.hpp"
#include "transport/fifo_frame.hpp"
#include "transport/fifo_gathering.hpp"
#include "transport/fifo_place.hpp"
#include "transport/mechanism.hpp"

namespace bulkhead::transport {
namespace {

using fifo_frame::Piece;
using fifo_frame::Type;

std::unexpected<Error> only_sends() {
  return fail(ErrorKind::unsupported, {.cause = "this end only sends"});
}

class WriterLink final : public LinkWithoutMemory {
 public:
  WriterLink(Fd fifo, const ChannelOptions& options, std::uint64_t id, pid_t server)
      : fifo_(std::move(fifo)), options_(options), id_(id), server_(server) {}
  ~WriterLink() override { close(); }

  Result<void> send(Bytes bytes, std::span<Handle> handles, Deadline deadline) override;
  Result<void> send_part(Bytes bytes, std::span<Handle> handles, std::size_t& done) override;
  void abort_part(std::size_t done) noexcept override;
  Result<void> receive(Message&, Deadline) override { return only_sends(); }
  Result<FdView> readable() override { return only_sends(); }
  Result<FdView> writable() override;
  Mechanism mechanism() const noexcept override { return Mechanism::fifo; }
  Capabilities capabilities() const noexcept override {
    Capabilities can = fifo_mechanism.capabilities;
    can.both_ways = false;
    return can;
  }
  Peer peer() const noexcept override { return {server_, ::geteuid(), ::getegid()}; }
  void close() noexcept override;
  Result<Handle> detach() override {
    return fail(ErrorKind::unsupported, {.cause = "its ends stay where they were made"});
  }

  /// Tells the receiver that there is one more, which makes accept() answer.
  Result<void> say_hello(Deadline deadline);

 protected:
  Result<void> await_room(std::size_t size, Deadline deadline) override;

 private:
  Result<void> check(Bytes bytes, std::span<const Handle> handles) const;
  Result<void> put(const Piece& piece, Bytes payload);
  Result<void> put_rest(Bytes bytes, std::size_t& done);
  Result<void> send_rest(Bytes bytes, std::size_t& done, Deadline deadline);
  Result<short> wait(Deadline deadline);

  std::mutex sending_;
  std::mutex waking_;
  Fd fifo_;
  const ChannelOptions options_;
  const std::uint64_t id_;
  const pid_t server_;
  const pid_t owner_ = ::getpid();
  std::atomic<bool> closed_{false};
  os::PipeWriter writer_;
  bool waits_ = false;
  bool abort_owed_ = false;
  os::SignalFd waker_;
  Fd writable_;
};

Result<void> WriterLink::check(Bytes bytes, std::span<const Handle> handles) const {
  if (!handles.empty()) {
    return fail(ErrorKind::unsupported, {.cause = "fifo cannot carry handles"});
  }
  if (bytes.size() <= options_.max_message_bytes) return {};
  return fail(ErrorKind::too_large,
              {.cause = std::to_string(bytes.size()) +
                        " bytes are more than the channel's "
                        "maximum of " +
                        std::to_string(options_.max_message_bytes),
               .remedy = "raise ChannelOptions::max_message_bytes at both ends"});
}

/// One write, whole or not at all. Under sending_.
Result<void> WriterLink::put(const Piece& piece, Bytes payload) {
  const std::array parts{
      iovec{const_cast<Piece*>(&piece), sizeof piece},
      iovec{const_cast<std::byte*>(payload.data()), payload.size()},
  };
  if (os::retry_eintr([&] { return writer_.write(fifo_, parts); }) > 0) return {};
  if (errno == EAGAIN) return fail(ErrorKind::full);
  if (errno != EPIPE) return os::failed("write", "named pipe");
  const bool in_order = os::is_marked_closed(fifo_, os::PipeEnd::reading);
  return fail(in_order ? ErrorKind::closed : ErrorKind::peer_died);
}

/// `done` is one more than the bytes that have gone, once anything has. Under sending_.
Result<void> WriterLink::put_rest(Bytes bytes, std::size_t& done) {
  if (abort_owed_) {
    BULKHEAD_TRY(put({.type = Type::abort, .writer = id_}, {}));
    abort_owed_ = false;
  }
  for (;;) {
    const std::size_t from = done > 0 ? done - 1 : 0;
    const Bytes some = bytes.subspan(from, std::min(bytes.size() - from, fifo_frame::most_payload));
    const bool is_last = from + some.size() == bytes.size();
    BULKHEAD_TRY(put({.size = static_cast<std::uint16_t>(some.size()),
                      .type = Type::data,
                      .last = is_last ? std::uint8_t{1} : std::uint8_t{0},
                      .index = static_cast<std::uint32_t>(from / fifo_frame::most_payload),
                      .writer = id_},
                     some));
    if (is_last) return {};
    done = from + some.size() + 1;
  }
}

Result<short> WriterLink::wait(Deadline deadline) {
  std::array<pollfd, 2> entries{};
  {
    const std::lock_guard guard{waking_};
    BULKHEAD_TRY(waker_.open());
    entries[1] = {.fd = waker_.view().native(), .events = POLLIN, .revents = 0};
  }
  {
    const std::lock_guard guard{sending_};
    if (closed_) return fail(ErrorKind::closed);
    entries[0] = {.fd = fifo_.native(), .events = POLLOUT, .revents = 0};
    waits_ = true;
  }
  auto ready = os::poll(entries, deadline);
  const std::lock_guard guard{sending_};
  waits_ = false;
  if (closed_) {
    fifo_.close();
    return fail(ErrorKind::closed);
  }
  if (!ready) return fail(std::move(ready).error());
  return entries[0].revents;
}

Result<void> WriterLink::send_rest(Bytes bytes, std::size_t& done, Deadline deadline) {
  for (;;) {
    Result<void> sent;
    {
      const std::lock_guard guard{sending_};
      if (closed_) return fail(ErrorKind::closed);
      sent = put_rest(bytes, done);
    }
    if (sent || sent.error() != ErrorKind::full || deadline == no_wait) return sent;
    if (BULKHEAD_TRY(wait(deadline)) == 0) return fail(ErrorKind::timed_out);
  }
}

Result<void> WriterLink::send(Bytes bytes, std::span<Handle> handles, Deadline deadline) {
  BULKHEAD_TRY(check(bytes, handles));
  if (closed_) return fail(ErrorKind::closed);
  // Half of the room is surely free in an empty pipe, whatever the pages are filled with.
  if (deadline == no_wait && bytes.size() > os::pipe_room(fifo_) / 2) {
    return fail(ErrorKind::too_large,
                {.cause = std::to_string(bytes.size()) + " bytes cannot go without waiting",
                 .remedy = "send with a deadline, or raise ChannelOptions::capacity_bytes"});
  }
  std::size_t done = 0;
  auto sent = send_rest(bytes, done, deadline);
  if (!sent) abort_part(done);
  return sent;
}

Result<void> WriterLink::send_part(Bytes bytes, std::span<Handle> handles, std::size_t& done) {
  BULKHEAD_TRY(check(bytes, handles));
  return send_rest(bytes, done, no_wait);
}

void WriterLink::abort_part(std::size_t done) noexcept {
  if (done == 0) return;
  const std::lock_guard guard{sending_};
  if (closed_) return;
  abort_owed_ = !put({.type = Type::abort, .writer = id_}, {});  // then the next send pays
}

Result<void> WriterLink::await_room(std::size_t size, Deadline deadline) {
  if (size > options_.max_message_bytes) return fail(ErrorKind::too_large);
  const short events = BULKHEAD_TRY(wait(deadline));
  if (events == 0) return fail(deadline == no_wait ? ErrorKind::full : ErrorKind::timed_out);
  return {};
}

Result<FdView> WriterLink::writable() {
  const std::lock_guard guard{sending_};
  if (writable_) return writable_.view();
  if (closed_) return fail(ErrorKind::closed);
  Fd watch = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!watch) return os::failed("make", "epoll descriptor");
  const std::lock_guard waking{waking_};
  BULKHEAD_TRY(waker_.open());
  epoll_event room{.events = EPOLLOUT, .data = {.u64 = 0}};
  epoll_event end{.events = EPOLLIN, .data = {.u64 = 0}};
  if (::epoll_ctl(watch.native(), EPOLL_CTL_ADD, fifo_.native(), &room) != 0 ||
      ::epoll_ctl(watch.native(), EPOLL_CTL_ADD, waker_.view().native(), &end) != 0) {
    return os::failed("watch", "named pipe");
  }
  writable_ = std::move(watch);
  return writable_.view();
}

void WriterLink::close() noexcept {
  if (closed_.exchange(true) || owner_ != ::getpid()) return;
  {
    const std::lock_guard guard{waking_};
    waker_.set(true);
  }
  const std::lock_guard guard{sending_};
  auto said = put({.type = Type::close, .writer = id_}, {});
  if (!said && said.error() == ErrorKind::full) os::mark_closed(fifo_, os::PipeEnd::writing);
  if (!waits_) fifo_.close();
}

Result<void> WriterLink::say_hello(Deadline deadline) {
  for (;;) {
    Result<void> said;
    {
      const std::lock_guard guard{sending_};
      said = put({.type = Type::hello, .writer = id_}, {});
    }
    if (said || said.error() != ErrorKind::full) return said;
    if (deadline == no_wait || BULKHEAD_TRY(wait(deadline)) == 0) {
      return fail(ErrorKind::timed_out, {.cause = "the pipe is full and nobody reads"});
    }
  }
}

}  // namespace

Result<std::unique_ptr<Link>> connect_writer(const std::string& path, Deadline deadline,
                                             const ChannelOptions& options) {
  Fd fifo = BULKHEAD_TRY(open_server(path, FifoUse::gathering));
  const pid_t server = server_pid(fifo, path);
  std::uint64_t id = 0;
  if (os::retry_eintr([&] { return ::getrandom(&id, sizeof id, 0); }) != sizeof id) {
    return os::failed("get random bytes");
  }
  os::hold_place(fifo, id);
  auto link = std::make_unique<WriterLink>(std::move(fifo), options, id, server);
  BULKHEAD_TRY(link->say_hello(deadline));
  return link;
}

}  // namespace bulkhead::transport

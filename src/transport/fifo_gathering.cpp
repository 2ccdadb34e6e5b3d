// SPDX-License-Identifier: Apache-2.0
//
// The receiving side of fifo_gathering.hpp; fifo_writer.cpp has the other.
#include "transport/fifo_gathering.hpp"

#include <array>
#include <atomic>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "os/pipe.hpp"
#include "os/signal_fd.hpp"
#include "os/syscall.hpp"
#include "transport/aside.hpp"
#include "transport/fifo_frame.hpp"
#include "transport/fifo_place.hpp"
#include "transport/mechanism.hpp"
#include "transport/wrong_peer.hpp"

namespace bulkhead::transport {
namespace {

using fifo_frame::Piece;
using fifo_frame::Type;

constexpr std::size_t buffer_bytes = 64 * 1024;

/// TRUST: so many half messages are kept at once, of writers that live.
constexpr std::size_t most_partial = 1024;

/// The FIFO, between the listener and the one channel that it has at a time.
struct Mouth {
  std::mutex mutex;
  Fd fifo;
  Fd ready;       ///< what the listener polls: not while there is a channel
  Fd keeps_open;  ///< a writer, while there is no channel: or the last one's end would show for ever
  std::string path;
  bool is_in_use = false;

  /// Lets the listener look again.
  void give_back() noexcept {
    const std::lock_guard guard{mutex};
    if (!is_in_use || !ready) return;
    is_in_use = false;
    // Opened through the descriptor: the name may be gone.
    const std::string itself = "/proc/self/fd/" + std::to_string(fifo.native());
    keeps_open = Fd::adopt(::open(itself.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    watch();
  }
  bool watch() noexcept {
    epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
    return ::epoll_ctl(ready.native(), EPOLL_CTL_ADD, fifo.native(), &event) == 0;
  }
};

/// What is known of one writer.
struct Writer {
  Message partial;
  std::uint32_t next = 0;  // index of the piece that comes next
};

class GatheringLink final : public Link {
 public:
  GatheringLink(Fd fifo, std::shared_ptr<Mouth> mouth, const ChannelOptions& options)
      : fifo_(std::move(fifo)), mouth_(std::move(mouth)), options_(options) {}
  ~GatheringLink() override { close(); }

  Result<void> send(Bytes, std::span<Handle>, Deadline) override { return only_receives(); }
  Result<MutableBytes> loan(std::size_t, Deadline) override { return only_receives(); }
  Result<void> commit() override { return only_receives(); }
  void abandon() noexcept override {}
  Result<FdView> writable() override { return only_receives(); }
  Result<void> receive(Message& into, Deadline deadline) override;
  Result<FdView> readable() override;
  Mechanism mechanism() const noexcept override { return Mechanism::fifo; }
  Capabilities capabilities() const noexcept override {
    Capabilities can = fifo_mechanism.capabilities;
    can.both_ways = false;
    return can;
  }
  /// Any number of processes of this user.
  Peer peer() const noexcept override { return {0, ::geteuid(), ::getegid()}; }
  void close() noexcept override;
  Result<Handle> detach() override {
    return fail(ErrorKind::unsupported, {.cause = "its ends stay where they were made"});
  }

 private:
  enum class Step : std::uint8_t { delivered, more };

  static std::unexpected<Error> only_receives() {
    return fail(ErrorKind::unsupported, {.cause = "this end only receives"});
  }
  Result<short> wait(Deadline deadline);
  // Under reading_:
  Result<Step> step(Message& into);
  Result<void> fill();
  Result<Step> take(const Piece& piece, Bytes payload, Message& into);
  Result<Step> take_data(Writer& writer, const Piece& piece, Bytes payload, Message& into);
  Result<Writer*> writer_of(std::uint64_t id);
  Error why_ended() const;
  std::unexpected<Error> end(Error error);
  void show() noexcept { more_.set(ended_ || to_ - from_ >= sizeof(Piece)); }

  std::mutex reading_;
  std::mutex waking_;
  Fd fifo_;
  const std::shared_ptr<Mouth> mouth_;
  const ChannelOptions options_;
  const pid_t owner_ = ::getpid();
  std::atomic<bool> closed_{false};
  bool waits_ = false;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t from_ = 0;
  std::size_t to_ = 0;
  std::map<std::uint64_t, Writer> writers_;
  std::optional<Error> ended_;
  os::SignalFd waker_;
  os::SignalFd more_;
  Fd readable_;
};

Result<void> GatheringLink::receive(Message& into, Deadline deadline) {
  for (;;) {
    {
      const std::lock_guard guard{reading_};
      for (int steps = 1;; ++steps) {
        if (closed_) return fail(ErrorKind::closed);
        if (ended_) return fail(*ended_);
        auto next = step(into);
        show();
        if (next && *next == Step::delivered) return {};
        if (!next && next.error() == ErrorKind::empty) break;
        if (!next) return fail(std::move(next).error());
        if (steps % 256 == 0 && deadline.expired()) {
          return fail(deadline == no_wait ? ErrorKind::empty : ErrorKind::timed_out);
        }
      }
    }
    if (deadline == no_wait) return fail(ErrorKind::empty);
    if (BULKHEAD_TRY(wait(deadline)) == 0) return fail(ErrorKind::timed_out);
  }
}

Result<short> GatheringLink::wait(Deadline deadline) {
  std::array<pollfd, 2> entries{};
  {
    const std::lock_guard guard{waking_};
    BULKHEAD_TRY(waker_.open());
    entries[1] = {.fd = waker_.view().native(), .events = POLLIN, .revents = 0};
  }
  {
    const std::lock_guard guard{reading_};
    if (closed_) return fail(ErrorKind::closed);
    entries[0] = {.fd = fifo_.native(), .events = POLLIN, .revents = 0};
    waits_ = true;
  }
  auto ready = os::poll(entries, deadline);
  bool is_over = false;
  {
    const std::lock_guard guard{reading_};
    waits_ = false;
    is_over = closed_;
    if (is_over) fifo_.close();
  }
  if (is_over) {
    mouth_->give_back();
    return fail(ErrorKind::closed);
  }
  if (!ready) return fail(std::move(ready).error());
  return entries[0].revents;
}

Result<GatheringLink::Step> GatheringLink::step(Message& into) {
  try {
    const std::size_t there = to_ - from_;
    Piece piece;
    if (there >= sizeof piece) {
      std::memcpy(static_cast<void*>(&piece), buffer_.get() + from_, sizeof piece);
      if (piece.magic != Piece{}.magic || piece.size > fifo_frame::most_payload) {
        return end(lie("this is no piece of a message").error());
      }
      if (there >= sizeof piece + piece.size) {
        const Bytes payload{buffer_.get() + from_ + sizeof piece, piece.size};
        from_ += sizeof piece + piece.size;
        auto taken = take(piece, payload, into);
        if (!taken) return end(std::move(taken).error());
        return taken;
      }
    }
    BULKHEAD_TRY(fill());
    return Step::more;
  } catch (const std::bad_alloc&) {
    return end({ErrorKind::exhausted, {.cause = "no memory for a message that arrived"}});
  }
}

/// Reads what there is. A write is in one piece in the pipe, but a read may end inside of it.
Result<void> GatheringLink::fill() {
  if (!buffer_) buffer_ = std::make_unique_for_overwrite<std::byte[]>(buffer_bytes);
  const std::size_t kept = to_ - from_;
  if (kept > 0 && from_ > 0) std::memmove(buffer_.get(), buffer_.get() + from_, kept);
  from_ = 0;
  to_ = kept;
  const auto got = os::retry_eintr(
      [&] { return ::read(fifo_.native(), buffer_.get() + to_, buffer_bytes - to_); });
  if (got > 0) {
    to_ += static_cast<std::size_t>(got);
    return {};
  }
  if (got < 0 && errno == EAGAIN) return fail(ErrorKind::empty);
  if (got < 0) return end(os::failed("read", "named pipe").error());
  return end(why_ended());
}

/// The last writer has gone: in good order if all that came have said so.
Error GatheringLink::why_ended() const {
  const bool in_order = writers_.empty() || os::is_marked_closed(fifo_, os::PipeEnd::writing);
  return Error{in_order ? ErrorKind::closed : ErrorKind::peer_died};
}

std::unexpected<Error> GatheringLink::end(Error error) {
  ended_ = error;
  writers_.clear();
  from_ = to_ = 0;
  show();
  return fail(std::move(error));
}

/// Room for one more that begins; half messages of those that died go first.
Result<Writer*> GatheringLink::writer_of(std::uint64_t id) {
  const auto known = writers_.find(id);
  if (known != writers_.end()) return &known->second;
  std::erase_if(writers_, [&](const auto& one) {
    return one.second.next > 0 && !os::is_place_held(fifo_, one.first);
  });
  if (writers_.size() >= most_partial) {
    std::erase_if(writers_, [&](const auto& one) { return !os::is_place_held(fifo_, one.first); });
  }
  if (writers_.size() >= most_partial) {
    return fail(ErrorKind::exhausted,
                {.cause = "more than " + std::to_string(most_partial) + " writers at once"});
  }
  return &writers_[id];
}

Result<GatheringLink::Step> GatheringLink::take(const Piece& piece, Bytes payload, Message& into) {
  if (piece.type == Type::close) {
    writers_.erase(piece.writer);
    return Step::more;
  }
  Writer* const writer = BULKHEAD_TRY(writer_of(piece.writer));
  switch (piece.type) {
    case Type::hello:
      return Step::more;
    case Type::data:
      return take_data(*writer, piece, payload, into);
    case Type::abort:
      writer->partial = {};
      writer->next = 0;
      return Step::more;
    case Type::close:
      break;
  }
  return lie("an unknown piece");
}

Result<GatheringLink::Step> GatheringLink::take_data(Writer& writer, const Piece& piece,
                                                     Bytes payload, Message& into) {
  if (piece.index == 0) {
    if (writer.next != 0) return lie("a message inside another");
    if (payload.size() > options_.max_message_bytes) return lie("too large a message");
    if (piece.last != 0) {
      into.clear();
      into.assign(payload);
      return Step::delivered;
    }
  } else if (writer.next == 0) {
    return Step::more;  // began before this channel did
  }
  if (piece.index != writer.next) return lie("a piece is missing");
  const std::size_t before = writer.partial.size();
  if (payload.size() > options_.max_message_bytes - before) return lie("too large a message");
  if (!payload.empty()) {
    std::memcpy(writer.partial.resize(before + payload.size()).data() + before, payload.data(),
                payload.size());
  }
  ++writer.next;
  if (piece.last == 0) return Step::more;
  into = std::move(writer.partial);
  writer.partial = {};
  writer.next = 0;
  return Step::delivered;
}

Result<FdView> GatheringLink::readable() {
  const std::lock_guard guard{reading_};
  if (readable_) return readable_.view();
  if (closed_) return fail(ErrorKind::closed);
  Fd watch = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!watch) return os::failed("make", "epoll descriptor");
  const std::lock_guard waking{waking_};
  BULKHEAD_TRY(waker_.open());
  BULKHEAD_TRY(more_.open());
  epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
  for (const FdView fd : {fifo_.view(), waker_.view(), more_.view()}) {
    if (::epoll_ctl(watch.native(), EPOLL_CTL_ADD, fd.native(), &event) != 0) {
      return os::failed("watch", "named pipe");
    }
  }
  readable_ = std::move(watch);
  return readable_.view();
}

void GatheringLink::close() noexcept {
  if (closed_.exchange(true) || owner_ != ::getpid()) return;
  {
    const std::lock_guard guard{waking_};
    waker_.set(true);
  }
  {
    const std::lock_guard guard{reading_};
    bool is_last = false;
    {
      // Without a listener nobody will ever read the rest: the writers are to know that this is
      // in good order.
      const std::lock_guard mouth{mouth_->mutex};
      is_last = !mouth_->ready;
    }
    if (is_last) os::mark_closed(fifo_, os::PipeEnd::reading);
    if (waits_) return;  // its thread does the rest
    fifo_.close();
  }
  mouth_->give_back();
}

class GatheringAcceptor final : public Acceptor {
 public:
  GatheringAcceptor(FifoPlace place, Fd waker, std::shared_ptr<Mouth> mouth, ChannelOptions options)
      : place_(std::move(place)),
        waker_(std::move(waker)),
        mouth_(std::move(mouth)),
        ready_(mouth_->ready.view()),
        options_(options) {}
  ~GatheringAcceptor() override {
    close();
    const std::lock_guard guard{mouth_->mutex};
    gone_ = std::move(mouth_->ready);
  }

  Result<std::unique_ptr<Link>> accept(Deadline deadline) override {
    for (;;) {
      if (!place_) return fail(ErrorKind::closed);
      if (BULKHEAD_TRY(os::poll_one(ready_, POLLIN, deadline)) != 0) {
        auto link = BULKHEAD_TRY(take());
        if (link) return link;
        continue;
      }
      return fail(deadline == no_wait ? ErrorKind::empty : ErrorKind::timed_out);
    }
  }

  FdView readable() const noexcept override { return ready_; }

  void close() noexcept override {
    if (!place_) return;
    const bool is_owner = owner_ == ::getpid();
    if (is_owner) {
      const std::uint64_t one = 1;
      os::retry_eintr([&] { return ::write(waker_.native(), &one, sizeof one); });
    }
    const std::lock_guard guard{mouth_->mutex};
    // Writers whom a channel still serves are not told that this is the end.
    if (mouth_->is_in_use) place_->keep_unmarked();
    place_.reset();
    mouth_->fifo.close();
    mouth_->keeps_open.close();
    mouth_->is_in_use = false;
    if (is_owner) gone_ = std::move(mouth_->ready);
  }

 private:
  /// Null when it was in use after all.
  Result<std::unique_ptr<Link>> take() {
    const std::lock_guard guard{mouth_->mutex};
    if (mouth_->is_in_use) return nullptr;
    Fd fifo = BULKHEAD_TRY(Fd::duplicate(mouth_->fifo));
    auto link = std::make_unique<GatheringLink>(std::move(fifo), mouth_, options_);
    ::epoll_ctl(ready_.native(), EPOLL_CTL_DEL, mouth_->fifo.native(), nullptr);
    os::unmark_closed(mouth_->fifo, os::PipeEnd::writing);
    mouth_->keeps_open.close();
    mouth_->is_in_use = true;
    return link;
  }

  std::optional<FifoPlace> place_;
  const Fd waker_;
  const std::shared_ptr<Mouth> mouth_;
  const FdView ready_;
  Fd gone_;  // what `ready_` looks at, when the mouth no longer has it
  const ChannelOptions options_;
  const pid_t owner_ = ::getpid();
};

}  // namespace

Result<std::unique_ptr<Acceptor>> listen_for_writers(const std::string& path,
                                                     const ChannelOptions& options) {
  auto place = BULKHEAD_TRY(FifoPlace::claim(path, FifoUse::gathering));
  auto mouth = std::make_shared<Mouth>();
  mouth->path = path;
  mouth->fifo = BULKHEAD_TRY(Fd::duplicate(place.mouth()));
  mouth->keeps_open = BULKHEAD_TRY(os::open_fifo(path, os::FifoEnd::writing));
  mouth->ready = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  Fd waker = Fd::adopt(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!waker || !mouth->ready) return os::failed("make", "event descriptor");
  os::set_pipe_room(mouth->fifo, options.capacity_bytes);
  epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
  if (!mouth->watch() ||
      ::epoll_ctl(mouth->ready.native(), EPOLL_CTL_ADD, waker.native(), &event) != 0) {
    return os::failed("watch", path);
  }
  return std::make_unique<GatheringAcceptor>(std::move(place), std::move(waker), std::move(mouth),
                                             options);
}

}  // namespace bulkhead::transport

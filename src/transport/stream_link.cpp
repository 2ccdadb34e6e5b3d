// SPDX-License-Identifier: Apache-2.0
#include "transport/stream_link.hpp"

#include <algorithm>
#include <cstring>
#include <sys/socket.h>
#include <unistd.h>

#include "os/syscall.hpp"

namespace bulkhead::transport {

using stream_frame::Header;
using stream_frame::Hello;
using stream_frame::Type;
using stream_frame::Verdict;

namespace {

/// TRUST: a peer can go on sending frames that make no message. After so many a call looks at the
/// clock, or whether they can ever end.
constexpr int patience = 256;

/// Messages up to this size are copied together by send_many.
constexpr std::size_t batched_size = 4096;
constexpr std::size_t batch_bytes = 64 * 1024;

constexpr std::size_t around = sizeof(Header) + sizeof(Verdict);

/// Messages up to this size are put together with their frame before they are written: the kernel
/// takes one piece of memory sooner than three.
constexpr std::size_t gathered_size = 512;

/// What a frame is filled up with that was given up.
constexpr std::array<std::byte, 4096> filling{};

iovec part(const void* data, std::size_t size) { return {const_cast<void*>(data), size}; }

/// The parts without their first `skip` bytes.
std::span<iovec> without(std::span<iovec> parts, std::size_t skip) {
  while (!parts.empty() && skip >= parts.front().iov_len) {
    skip -= parts.front().iov_len;
    parts = parts.subspan(1);
  }
  if (!parts.empty()) {
    parts.front().iov_base = static_cast<std::byte*>(parts.front().iov_base) + skip;
    parts.front().iov_len -= skip;
  }
  return parts;
}

std::unexpected<Error> not_now(bool sending, Deadline deadline) {
  if (deadline != no_wait) return fail(ErrorKind::timed_out);
  return fail(sending ? ErrorKind::full : ErrorKind::empty);
}

bool is_gone(int number) { return number == EPIPE || number == ECONNRESET; }

}  // namespace

StreamLink::StreamLink(Fd socket, const ChannelOptions& options)
    : options_(options),
      is_socket_(true),
      has_way_out_(true),
      in_(std::move(socket)),
      owner_(::getpid()) {}

StreamLink::StreamLink(Fd in, Fd out, const ChannelOptions& options)
    : options_(options),
      is_socket_(false),
      has_way_out_(static_cast<bool>(out)),
      in_(std::move(in)),
      out_(std::move(out)),
      owner_(::getpid()) {}

Result<void> StreamLink::bind() {
  if (bound_) [[likely]]
    return {};
  const std::lock_guard guard{binding_};
  if (bound_) return {};
  if (closed_) return fail(ErrorKind::closed);
  owner_ = ::getpid();
  const std::lock_guard sending{sending_};
  if (out()) {
    at_once_ = prepare(options_);
    const Hello hello;
    if (!has_said_hello()) queue(Type::hello, std::as_bytes(std::span{&hello, 1}));
    // A peer that has gone already may still have left messages.
    if (auto paid = pay();
        !paid && paid.error() != ErrorKind::full && paid.error() != ErrorKind::closed) {
      return paid;
    }
  }
  bound_ = true;
  return {};
}

Result<void> StreamLink::expect_can(Half half) const {
  const Direction other = half == Half::sending ? Direction::receive : Direction::send;
  if (options_.direction != other) [[likely]]
    return {};
  return fail(ErrorKind::unsupported,
              {.cause = half == Half::sending ? "this end only receives" : "this end only sends",
               .remedy = "make the channel with Direction::both"});
}

Result<void> StreamLink::check_size(std::size_t size) const {
  if (size <= options_.max_message_bytes) [[likely]]
    return {};
  return fail(ErrorKind::too_large,
              {.cause = std::to_string(size) + " bytes are more than the channel's maximum of " +
                        std::to_string(options_.max_message_bytes),
               .remedy = "raise ChannelOptions::max_message_bytes at both ends"});
}

Result<void> StreamLink::expect_no_wait(Bytes bytes, Deadline deadline) const {
  if (deadline != no_wait || bytes.size() <= at_once_) [[likely]]
    return {};
  return fail(ErrorKind::too_large,
              {.cause = std::to_string(bytes.size()) + " bytes cannot go without waiting",
               .remedy = "send with a deadline, or raise ChannelOptions::capacity_bytes"});
}

std::unexpected<Error> StreamLink::refuse_handles() const {
  return fail(ErrorKind::unsupported,
              {.cause = std::string{to_string(mechanism())} + " cannot carry handles",
               .remedy = "take shm, or a Unix socket that keeps boundaries"});
}

// Waiting

Result<FdView> StreamLink::waker() {
  if (is_socket_) return FdView{};
  const std::lock_guard guard{waking_};
  BULKHEAD_TRY(waker_.open());
  return waker_.view();
}

/// The events of the half's descriptor and of what else wakes it, 0 when none came until then.
Result<short> StreamLink::wait_once(Half half, Deadline until) {
  const bool sends = half == Half::sending;
  std::mutex& mutex = sends ? sending_ : reading_;
  bool& waits = sends ? send_waits_ : receive_waits_;
  std::array<pollfd, 3> entries{};  // poll(2) passes over those below zero
  entries[1] = {.fd = BULKHEAD_TRY(waker()).native(), .events = POLLIN, .revents = 0};
  entries[2] = {.fd = aside().native(), .events = POLLIN, .revents = 0};
  {
    const std::lock_guard guard{mutex};
    if (closed_) return fail(ErrorKind::closed);
    entries[0] = {.fd = (sends ? out() : in()).native(),
                  .events = sends ? short{POLLOUT} : short{POLLIN},
                  .revents = 0};
    waits = true;
  }
  const std::size_t count = entries[2].fd >= 0 ? 3 : is_socket_ ? 1 : 2;
  auto ready = os::poll(std::span{entries}.first(count), until);
  {
    const std::lock_guard guard{mutex};
    waits = false;
    if (closed_) {
      if (!is_socket_) (sends ? out_ : in_).close();
      return fail(ErrorKind::closed);
    }
  }
  if (!ready) return fail(std::move(ready).error());
  if (entries[2].revents != 0) BULKHEAD_TRY(attend(&StreamLink::look_aside));
  return static_cast<short>(entries[0].revents | entries[1].revents | entries[2].revents);
}

Result<void> StreamLink::attend(Result<void> (StreamLink::*duty)()) {
  auto done = (this->*duty)();
  if (done) return {};
  const std::lock_guard guard{reading_};
  return ended_ ? fail(*ended_) : end(std::move(done).error());
}

Result<void> StreamLink::wait(Half half, Deadline deadline) {
  if (deadline == no_wait) {
    if (!aside()) [[likely]]
      return not_now(half == Half::sending, deadline);
    const short events = BULKHEAD_TRY(os::poll_one(aside(), POLLIN, no_wait));
    if (events == 0) return not_now(half == Half::sending, deadline);
    return attend(&StreamLink::look_aside);
  }
  for (;;) {
    const Deadline duty = next_duty();
    const short events = BULKHEAD_TRY(wait_once(half, earlier(deadline, duty)));
    if (events != 0) return {};
    if (duty.expired()) BULKHEAD_TRY(attend(&StreamLink::do_duty));
    if (deadline.expired()) return not_now(half == Half::sending, deadline);
  }
}

// Sending

/// How much of it went, at least one byte. `full`, or `closed` when nobody reads any more.
Result<std::size_t> StreamLink::write(std::span<const iovec> parts) {
  const auto written = os::retry_eintr([&] { return write_some(out(), parts); });
  if (written > 0) [[likely]]
    return static_cast<std::size_t>(written);
  if (written == 0 || errno == EAGAIN) return fail(ErrorKind::full);
  if (is_gone(errno)) return fail(ErrorKind::closed);
  return fail(why_broken(errno));
}

/// A whole frame from its beginning.
Result<std::size_t> StreamLink::write_frame(std::span<const iovec> parts) {
  std::array<std::byte, gathered_size + around> together;
  if (parts[1].iov_len > gathered_size) return write(parts);
  std::size_t size = 0;
  for (const iovec& some : parts) {
    if (some.iov_len > 0) std::memcpy(together.data() + size, some.iov_base, some.iov_len);
    size += some.iov_len;
  }
  const iovec all = part(together.data(), size);
  return write({&all, 1});
}

/// For a stream between two frames.
void StreamLink::queue(Type type, Bytes payload) noexcept {
  const Header header{type, payload.size()};
  std::memcpy(control_.data(), &header, sizeof header);
  if (!payload.empty()) {
    std::memcpy(control_.data() + sizeof header, payload.data(), payload.size());
  }
  control_size_ = control_left_ = sizeof header + payload.size();
}

/// Goes on with the frame that was given up: what is left of its header, anything for its payload,
/// and the verdict.
Result<void> StreamLink::fill_up() {
  const std::size_t gone = frame_header_.payload() + around - frame_left_;
  const std::size_t header = gone < sizeof(Header) ? sizeof(Header) - gone : 0;
  const std::size_t payload = frame_left_ - header - sizeof(Verdict);
  const std::size_t some = std::min(payload, filling.size());
  const auto verdict = Verdict::take_back;
  std::array parts{part(&frame_header_, sizeof(Header)), part(filling.data(), some),
                   part(&verdict, some == payload ? sizeof verdict : 0)};
  frame_left_ -= BULKHEAD_TRY(write(without(parts, sizeof(Header) - header)));
  giving_up_ = frame_left_ > 0;
  return {};
}

/// Writes what must go before anything else.
Result<void> StreamLink::pay() {
  while (owes()) {
    if (control_left_ > 0) {
      const iovec rest = part(control_.data() + control_size_ - control_left_, control_left_);
      control_left_ -= BULKHEAD_TRY(write({&rest, 1}));
    } else if (giving_up_) {
      BULKHEAD_TRY(fill_up());
    } else {
      queue(Type::data, {});
      control_[control_size_++] = static_cast<std::byte>(Verdict::take_back);
      ++control_left_;
      message_cut_ = false;
    }
  }
  return {};
}

/// The message of which `done` has gone will not be continued.
void StreamLink::cut_off(std::size_t done) noexcept {
  if (frame_left_ > 0) {
    giving_up_ = true;
  } else if (done > 0) {
    message_cut_ = true;
  }
}

/// `done` is one more than the bytes of completed frames, once anything has gone.
Result<void> StreamLink::send_step(Bytes bytes, std::size_t& done) {
  for (;;) {
    const std::size_t from = done > 0 ? done - 1 : 0;
    const auto piece =
        bytes.subspan(from, std::min(bytes.size() - from, stream_frame::most_payload));
    const bool is_last = from + piece.size() == bytes.size();
    const Header header{Type::data, piece.size()};
    const Verdict verdict = is_last ? Verdict::last : Verdict::more;
    std::array parts{part(&header, sizeof header), part(piece.data(), piece.size()),
                     part(&verdict, sizeof verdict)};
    const std::size_t total = piece.size() + around;
    if (frame_left_ == 0) {
      frame_left_ = total - BULKHEAD_TRY(write_frame(parts));
      frame_header_ = header;
    } else {
      frame_left_ -= BULKHEAD_TRY(write(without(parts, total - frame_left_)));
    }
    if (done == 0) done = 1;
    if (frame_left_ > 0) continue;
    if (is_last) return {};
    done += piece.size();
  }
}

/// Sends until done, or until the deadline.
Result<void> StreamLink::send_rest(Bytes bytes, std::size_t& done, Deadline deadline) {
  for (;;) {
    Result<void> sent;
    {
      const std::lock_guard guard{sending_};
      if (closed_) return fail(ErrorKind::closed);
      if (owes() && (done == 0 || frame_left_ == 0)) sent = pay();
      if (sent) sent = send_step(bytes, done);
    }
    if (sent) [[likely]]
      return {};
    if (sent.error() == ErrorKind::closed) return fail(why_unread());
    if (sent.error() != ErrorKind::full) return sent;
    BULKHEAD_TRY(wait(Half::sending, deadline));
    if (broken_) return fail(why_unread());
  }
}

Result<void> StreamLink::send(Bytes bytes, std::span<Handle> handles, Deadline deadline) {
  BULKHEAD_TRY(expect_can(Half::sending));
  BULKHEAD_TRY(check_size(bytes.size()));
  if (!handles.empty()) return refuse_handles();
  BULKHEAD_TRY(bind());
  BULKHEAD_TRY(expect_no_wait(bytes, deadline));
  if (broken_) return fail(why_unread());
  std::size_t done = 0;
  auto sent = send_rest(bytes, done, deadline);
  if (!sent) abort_part(done);
  return sent;
}

void StreamLink::abort_part(std::size_t done) noexcept {
  if (done == 0) return;
  const std::lock_guard guard{sending_};
  if (closed_) return;
  cut_off(done);
  static_cast<void>(pay());  // the stream may be full: then the next send pays
}

Result<void> StreamLink::send_part(Bytes bytes, std::span<Handle> handles, std::size_t& done) {
  if (done == 0) {
    BULKHEAD_TRY(expect_can(Half::sending));
    BULKHEAD_TRY(check_size(bytes.size()));
    if (!handles.empty()) return refuse_handles();
    BULKHEAD_TRY(bind());
  }
  if (broken_) return fail(why_unread());
  return send_rest(bytes, done, no_wait);
}

/// As many of them as go with one call. Of the next one `done` may be under way then.
Result<std::size_t> StreamLink::send_batch(std::span<const Bytes> messages, std::size_t& done) {
  if (!batch_) batch_ = std::make_unique_for_overwrite<std::byte[]>(batch_bytes);
  std::size_t size = 0;
  std::size_t count = 0;
  for (const Bytes message : messages) {
    const std::size_t frame = message.size() + around;
    if (message.size() > batched_size || size + frame > batch_bytes) break;
    const Header header{Type::data, message.size()};
    std::byte* to = batch_.get() + size;
    std::memcpy(to, &header, sizeof header);
    if (!message.empty()) std::memcpy(to + sizeof header, message.data(), message.size());
    to[frame - 1] = static_cast<std::byte>(Verdict::last);
    size += frame;
    ++count;
  }
  const iovec all = part(batch_.get(), size);
  std::size_t written = BULKHEAD_TRY(write({&all, 1}));
  if (written == size) [[likely]]
    return count;
  for (std::size_t sent = 0;; ++sent) {
    const std::size_t frame = messages[sent].size() + around;
    if (written >= frame) {
      written -= frame;
      continue;
    }
    if (written > 0) {
      frame_left_ = frame - written;
      frame_header_ = Header{Type::data, messages[sent].size()};
      done = 1;
    }
    return sent;
  }
}

Result<std::size_t> StreamLink::send_many(std::span<const Bytes> messages, Deadline deadline) {
  BULKHEAD_TRY(expect_can(Half::sending));
  BULKHEAD_TRY(bind());
  std::size_t sent = 0;
  while (sent < messages.size()) {
    const auto rest = messages.subspan(sent);
    std::size_t done = 0;
    const std::size_t limit = std::min(batched_size, options_.max_message_bytes);
    if (rest.front().size() <= limit && !broken_) {
      const auto small = std::ranges::find_if(rest, [&](Bytes m) { return m.size() > limit; });
      const std::lock_guard guard{sending_};
      if (closed_) return fail(ErrorKind::closed);
      auto paid = pay();
      auto some = paid ? send_batch({rest.begin(), small}, done)
                       : Result<std::size_t>{fail(std::move(paid).error())};
      sent += some.value_or(0);
      if (some && done == 0) continue;
    }
    // What is large, stands half written, or found no room or nobody.
    Result<void> one =
        done > 0 ? send_rest(messages[sent], done, deadline) : send(messages[sent], {}, deadline);
    if (done > 0 && !one) abort_part(done);
    if (one) {
      ++sent;
      continue;
    }
    const bool later = one.error() == ErrorKind::timed_out || one.error() == ErrorKind::full;
    if (sent == 0 || !later) return fail(std::move(one).error());
    break;
  }
  return sent;
}

Result<void> StreamLink::ping() {
  const std::lock_guard guard{sending_};
  if (closed_ || !out() || !is_free()) return {};
  queue(Type::ping, {});
  auto paid = pay();
  if (!paid && paid.error() == ErrorKind::full) return {};
  return paid;
}

Result<void> StreamLink::await_room(std::size_t size, Deadline deadline) {
  BULKHEAD_TRY(expect_can(Half::sending));
  BULKHEAD_TRY(check_size(size));
  BULKHEAD_TRY(bind());
  const short events = BULKHEAD_TRY(wait_once(Half::sending, deadline));
  if (events == 0) return not_now(true, deadline);
  return {};
}

// The end

/// The peer sends nothing any more. The kernel refuses our bytes a moment before it tells.
bool StreamLink::has_hung_up() {
  const auto events = os::poll_one(in(), POLLRDHUP, std::chrono::milliseconds{1});
  return !events || *events != 0;
}

void StreamLink::read_ahead() {
  const std::lock_guard guard{reading_};
  for (int steps = 0; !ended_ && steps < patience; ++steps) {
    Message message;
    auto next = step(message);
    if (!next) break;
    if (*next == Step::delivered) early_.push_back(std::move(message));
  }
  show();
}

/// The peer takes nothing any more: why is behind what it had sent before. That is read now, kept
/// for the receiver, and never more than the stream held.
Error StreamLink::why_unread() {
  if (closed_) return Error{ErrorKind::closed};
  const std::lock_guard guard{reading_};
  if (!ended_ && !in()) static_cast<void>(end(why_broken(EPIPE)));
  for (int steps = 1; !ended_; ++steps) {
    Message message;
    auto next = step(message);
    if (next && *next == Step::delivered) early_.push_back(std::move(message));
    // It has only shut its receiving side, and may send for ever. Of two descriptors the one that
    // we read from is closed first; here it is in the middle of dying.
    const bool may_go_on = next ? steps % patience == 0 : next.error() == ErrorKind::empty;
    if (!may_go_on || has_hung_up()) continue;
    static_cast<void>(end(Error{is_socket_ ? ErrorKind::closed : ErrorKind::peer_died}));
  }
  show();
  return *ended_;
}

std::unexpected<Error> StreamLink::end(Error error) {
  ended_ = error;
  broken_ = true;
  partial_ = {};
  from_ = to_ = 0;
  // A peer that broke the protocol learns by the hang-up; one that has gone does not mind.
  if (!is_socket_) {
    if (!receive_waits_) in_.close();
  } else if (owner_ == ::getpid()) {
    ::shutdown(in_.native(), SHUT_RDWR);
  }
  show();
  return fail(std::move(error));
}

Error StreamLink::why_broken(int number) const {
  if (number == 0 || is_gone(number)) return Error{ErrorKind::peer_died};
  return Error::from_errno(number, {});
}

Result<void> StreamLink::pay_close() {
  BULKHEAD_TRY(pay());
  queue(Type::close, {});
  return pay();
}

void StreamLink::say_closed() noexcept {
  cut_off(0);
  const auto said = pay_close();
  if (said || said.error() != ErrorKind::full || !close_aside()) return;
  // The first try may have left the close frame waiting itself: a second one behind it is not read.
  static_cast<void>(pay_close());
}

void StreamLink::close() noexcept {
  if (closed_.exchange(true)) return;
  const bool is_owner = owner_ == ::getpid();
  if (!is_owner) return;  // a forked child's copy: the descriptors go, no more
  {
    const std::lock_guard guard{waking_};
    waker_.set(true);
  }
  {
    const std::lock_guard guard{sending_};
    if (out()) say_closed();
    if (!is_socket_ && !send_waits_) out_.close();
  }
  const std::lock_guard guard{reading_};
  if (!has_way_out_) close_aside();
  // Wakes our own calls; what was sent stays with the peer.
  if (is_socket_) ::shutdown(in_.native(), SHUT_RDWR);
  if (!is_socket_ && !receive_waits_) in_.close();
}

Result<StreamLink::Ends> StreamLink::take_ends() {
  const std::lock_guard guard{binding_};
  if (closed_) return fail(ErrorKind::closed);
  if (bound_) {
    return fail(ErrorKind::invalid, {.cause = "this end has been used already",
                                     .remedy = "hand it over before its first use"});
  }
  closed_ = true;
  return Ends{std::move(in_), std::move(out_)};
}

// Receiving

Result<void> StreamLink::receive(Message& into, Deadline deadline) {
  BULKHEAD_TRY(expect_can(Half::receiving));
  BULKHEAD_TRY(bind());
  for (bool first = true;; first = false) {
    {
      const std::lock_guard guard{reading_};
      const bool waits = first && deadline != no_wait && !has_more() && nap_.expects();
      for (int steps = 1; !waits; ++steps) {
        if (closed_) return fail(ErrorKind::closed);
        if (!early_.empty()) {
          into = std::move(early_.front());
          early_.pop_front();
          show();
          return {};
        }
        if (ended_) return fail(*ended_);
        auto next = step(into);
        if (next && *next == Step::delivered) [[likely]] {
          if (has_more()) nap_.is_behind();
          show();
          return {};
        }
        if (!next && next.error() == ErrorKind::empty) {
          nap_.slept();
          break;
        }
        if (!next) return fail(std::move(next).error());
        if (steps % patience == 0 && deadline.expired()) return not_now(false, deadline);
      }
      show();
    }
    BULKHEAD_TRY(wait(Half::receiving, deadline));
  }
}

}  // namespace bulkhead::transport

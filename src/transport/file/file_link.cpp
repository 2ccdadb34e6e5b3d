// SPDX-License-Identifier: Apache-2.0
#include "transport/file/file_link.hpp"

#include <array>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/socket.hpp"
#include "os/syscall.hpp"
#include "transport/file/file_mechanism.hpp"
#include "transport/mechanism.hpp"

namespace bulkhead::transport::file {
namespace {

/// A sender that finds its log writable for ever looks for its reader only so often.
constexpr unsigned look_every = 64;

std::unexpected<Error> one_way(const char* which) {
  return fail(ErrorKind::unsupported, {.cause = std::string{"this end of the log only "} + which,
                                       .remedy = "choose the other ChannelOptions::direction"});
}

}  // namespace

FileLink::FileLink(Parts parts, const ChannelOptions& options)
    : parts_(std::move(parts)), options_(options), owner_(::getpid()) {}

Result<std::unique_ptr<FileLink>> FileLink::create(Parts parts, const ChannelOptions& options) {
  std::unique_ptr<FileLink> link{new FileLink{std::move(parts), options}};
  if (!link->parts_.in || link->parts_.life) return link;
  const std::string path = link->parts_.in_folder + "/" + owner_name;
  auto file = os::open_file(path, O_RDONLY);
  // A reader that came first waits for a writer.
  if (!file && file.error() == ErrorKind::not_found) file = os::open_file(path, O_RDWR | O_CREAT);
  if (!file) return fail(std::move(file).error());
  link->writer_file_ = *std::move(file);
  link->writer_.emplace(link->writer_file_, 0, path);
  return link;
}

Capabilities FileLink::capabilities() const noexcept {
  Capabilities can = file_mechanism.capabilities;
  can.both_ways = is_both_ways();
  if (can.both_ways && !parts_.life) can.many_clients = false;
  return can;
}

Peer FileLink::peer() const noexcept {
  if (parts_.life) {
    const auto who = os::peer_credentials(parts_.life);
    return {who.pid, who.uid, who.gid};
  }
  if (is_both_ways()) {
    const auto other = os::OwnerRecord::read(writer_file_, 0, parts_.in_folder);
    const bool is_there = other && other->state == os::OwnerRecord::open;
    return {is_there ? static_cast<pid_t>(other->pid) : 0, ::geteuid(), ::getegid()};
  }
  // Who writes a log is not who will read it.
  return {0, ::geteuid(), ::getegid()};
}

/// The first use is in the process that the end belongs to.
Result<void> FileLink::use() {
  if (closed_) return fail(ErrorKind::closed);
  if (!used_) [[unlikely]] {
    owner_ = ::getpid();
    used_ = true;
  }
  return {};
}

Result<void> FileLink::check(std::size_t size, std::span<const Handle> handles) {
  BULKHEAD_TRY(use());
  if (!parts_.out) return one_way("receives");
  if (!handles.empty()) {
    return fail(ErrorKind::unsupported, {.cause = "a file cannot carry handles",
                                         .remedy = "use shm or a Unix socket for them"});
  }
  if (size > options_.max_message_bytes) {
    return fail(ErrorKind::too_large,
                {.cause = std::to_string(size) + " bytes are more than the channel's maximum of " +
                          std::to_string(options_.max_message_bytes),
                 .remedy = "raise ChannelOptions::max_message_bytes at both ends"});
  }
  if (!parts_.life) {
    if (!ended_) return {};
    const std::lock_guard guard{reading_};
    return fail(*end_);
  }
  if (!ended_ && sent_++ % look_every != 0) return {};
  const Fate fate = look_at_life();
  if (fate == Fate::open) return {};
  ended_ = true;
  return fail(fate == Fate::closed ? ErrorKind::closed : ErrorKind::peer_died);
}

Result<void> FileLink::await_room(std::size_t size, Deadline) { return check(size, {}); }

Result<void> FileLink::send(Bytes bytes, std::span<Handle> handles, Deadline) {
  const std::lock_guard guard{writing_};
  BULKHEAD_TRY(check(bytes.size(), handles));
  BULKHEAD_TRY(parts_.out->append({&bytes, 1}));
  return {};
}

Result<std::size_t> FileLink::send_many(std::span<const Bytes> messages, Deadline) {
  const std::lock_guard guard{writing_};
  BULKHEAD_TRY(check(0, {}));
  for (const Bytes bytes : messages) BULKHEAD_TRY(check(bytes.size(), {}));
  if (messages.empty()) return std::size_t{0};
  return parts_.out->append(messages);
}

/// Before the first wait; what came earlier is looked for after it.
Result<void> FileLink::watch() {
  if (watch_) return {};
  auto watch = BULKHEAD_TRY(os::FileWatch::create(parts_.look));
  if (parts_.in_file) {
    BULKHEAD_TRY(watch.add("/proc/self/fd/" + std::to_string(parts_.in_file.native())));
  } else {
    BULKHEAD_TRY(watch.add(parts_.in_folder));
  }
  {
    const std::lock_guard guard{bell_mutex_};
    BULKHEAD_TRY(bell_.open());
  }
  watch_.emplace(std::move(watch));
  return {};
}

/// In a sandbox there is no inotify any more (sandbox/profile.cpp); what watches already goes on.
Result<void> FileLink::bind(Deadline) {
  BULKHEAD_TRY(use());
  if (!parts_.in) return {};
  const std::lock_guard guard{reading_};
  return watch();
}

/// A mark is there when it was closed in good order, the end of the stream alone when not.
FileLink::Fate FileLink::look_at_life() const {
  char mark = 0;
  const auto got = os::retry_eintr(
      [&] { return ::recv(parts_.life.native(), &mark, 1, MSG_PEEK | MSG_DONTWAIT); });
  if (got < 0 && errno == EAGAIN) return Fate::open;
  return got > 0 ? Fate::closed : Fate::died;
}

Result<FileLink::Fate> FileLink::look_at_writer() {
  if (parts_.life) return look_at_life();
  BULKHEAD_TRY(writer_->look());
  const auto& record = writer_->record();
  if (parts_.follow || record.state == os::OwnerRecord::never || writer_->is_open()) {
    return Fate::open;
  }
  if (parts_.gone_before == record.session) return Fate::open;
  if (writer_->has_died()) return Fate::died;
  // Held by the next one already, or by who closed it and is about to let go: nobody would tell us
  // of that.
  return Fate::closed;
}

std::unexpected<Error> FileLink::end(Error error) {
  ended_ = true;
  end_ = error;
  const std::lock_guard guard{bell_mutex_};
  bell_.set(true);
  return fail(std::move(error));
}

/// True when there was a message. Under reading_.
Result<bool> FileLink::try_next(Message& into) {
  if (closed_) return fail(ErrorKind::closed);
  if (end_) return fail(*end_);
  auto got = parts_.in->next(into);
  if (!got) {
    if (got.error() == ErrorKind::corrupt) return end(std::move(got).error());
    return fail(std::move(got).error());
  }
  if (*got == LogReader::Got::message) return true;
  if (!must_look_) return false;
  must_look_ = false;
  const Fate fate = BULKHEAD_TRY(look_at_writer());
  if (fate == Fate::open) {
    if (auto fine = parts_.in->check_end(); !fine) return end(std::move(fine).error());
    return false;
  }
  // What it wrote last may have come between the two looks.
  got = parts_.in->next(into);
  must_look_ = true;
  if (!got) return end(std::move(got).error());
  if (*got == LogReader::Got::message) return true;
  BULKHEAD_TRY(parts_.in->store());
  if (writer_ && fate == Fate::closed && parts_.in->expected() != 0 &&
      writer_->record().end > parts_.in->expected()) {
    return end({ErrorKind::corrupt,
                {.cause = parts_.in_folder + " ends before message " +
                          std::to_string(writer_->record().end - 1) + ", which had been written"}});
  }
  return end(Error{fate == Fate::closed ? ErrorKind::closed : ErrorKind::peer_died});
}

/// Returns when something has happened: `timed_out` when not.
Result<void> FileLink::poll(Deadline deadline) {
  std::array<pollfd, 3> fds{};
  {
    const std::lock_guard guard{reading_};
    if (closed_) return fail(ErrorKind::closed);
    if (deadline == no_wait && parts_.life && !epoll_) {
      // The file has just been looked at, and there is no descriptor to make quiet.
      if (look_at_life() == Fate::open) return fail(ErrorKind::empty);
      must_look_ = true;
      return {};
    }
    const FdView peer = parts_.life ? parts_.life.view() : writer_->pidfd();
    fds = {pollfd{watch_->fd().native(), POLLIN, 0}, pollfd{bell_.view().native(), POLLIN, 0},
           pollfd{peer.native(), POLLIN, 0}};
  }
  // What hung up and is not told for that (a writer that is followed) is not waited for again.
  const bool peer_counts = !parts_.follow;
  const auto ready = BULKHEAD_TRY(os::poll(std::span{fds}.first(peer_counts ? 3 : 2), deadline));
  if (ready == 0) return fail(deadline == no_wait ? ErrorKind::empty : ErrorKind::timed_out);
  const std::lock_guard guard{reading_};
  if (fds[0].revents != 0 && watch_->drain(owner_name) == os::FileWatch::Stir::named) {
    must_look_ = true;
  }
  if (fds[2].revents != 0) must_look_ = true;
  if (fds[1].revents != 0 && !closed_ && !end_) {
    const std::lock_guard ring{bell_mutex_};
    if (!closed_) bell_.set(false);
  }
  return {};
}

Result<void> FileLink::receive(Message& into, Deadline deadline) {
  BULKHEAD_TRY(use());
  if (!parts_.in) return one_way("sends");
  for (bool polled = false;;) {
    {
      const std::lock_guard guard{reading_};
      if (BULKHEAD_TRY(try_next(into))) [[likely]]
        return {};
      BULKHEAD_TRY(parts_.in->store());
      if (polled && deadline == no_wait) return fail(ErrorKind::empty);
      if (!watch_) {
        BULKHEAD_TRY(watch());
        must_look_ = true;
        continue;
      }
      if (epoll_) BULKHEAD_TRY(show(parts_.life ? parts_.life.view() : writer_->pidfd()));
    }
    BULKHEAD_TRY(poll(deadline));
    polled = true;
  }
}

/// Keeps the descriptor of the writer's process in the set, whichever process that is.
Result<void> FileLink::show(FdView fd) {
  if (fd.native() == shown_pidfd_ || parts_.follow) return {};
  epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
  // One that was closed has left the set by itself.
  if (fd && ::epoll_ctl(epoll_.native(), EPOLL_CTL_ADD, fd.native(), &event) != 0 &&
      errno != EEXIST) {
    return os::failed("watch", "process");
  }
  shown_pidfd_ = fd.native();
  return {};
}

Result<FdView> FileLink::readable() {
  BULKHEAD_TRY(use());
  if (!parts_.in) return one_way("sends");
  const std::lock_guard guard{reading_};
  if (epoll_) return epoll_.view();
  BULKHEAD_TRY(watch());
  Fd epoll = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return os::failed("make", "epoll descriptor");
  for (const FdView fd : {watch_->fd(), bell_.view()}) {
    epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
    if (::epoll_ctl(epoll.native(), EPOLL_CTL_ADD, fd.native(), &event) != 0) {
      return os::failed("watch", "log");
    }
  }
  epoll_ = std::move(epoll);
  must_look_ = true;
  BULKHEAD_TRY(show(parts_.life ? parts_.life.view() : writer_->pidfd()));
  // What was written before anybody watched rings no bell of its own.
  const std::lock_guard ring{bell_mutex_};
  bell_.set(true);
  return epoll_.view();
}

Result<FdView> FileLink::writable() {
  BULKHEAD_TRY(use());
  if (!parts_.out) return one_way("receives");
  const std::lock_guard guard{writing_};
  BULKHEAD_TRY(writable_.open());
  writable_.set(true);
  return writable_.view();
}

void FileLink::close() noexcept {
  if (closed_.exchange(true)) return;
  {
    const std::lock_guard guard{bell_mutex_};
    bell_.set(true);
  }
  const bool ours = owner_ == ::getpid();
  {
    const std::lock_guard guard{writing_};
    if (parts_.out && ours) parts_.out->close();
  }
  const std::lock_guard guard{reading_};
  if (parts_.in && ours) static_cast<void>(parts_.in->store());
  if (parts_.in) parts_.in->let_go();
  if (const auto seat = std::move(parts_.seat); seat && ours) seat->leave();
  if (!parts_.life || !ours) return;
  const char mark = 'c';
  ::send(parts_.life.native(), &mark, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  ::shutdown(parts_.life.native(), SHUT_WR);
}

Result<Handle> FileLink::detach() {
  if (closed_) return fail(ErrorKind::closed);
  if (!parts_.life) {
    return fail(ErrorKind::unsupported,
                {.cause = "the end of a log with a name stays where it was opened",
                 .remedy = "let the other process connect to the address itself"});
  }
  if (used_) {
    return fail(ErrorKind::invalid, {.cause = "this end has been used already",
                                     .remedy = "hand it over before its first use"});
  }
  const std::array fds{parts_.out ? parts_.out->file().native() : parts_.life.native(),
                       parts_.in ? parts_.in_file.native() : parts_.life.native(),
                       parts_.life.native()};
  Fd parcel = BULKHEAD_TRY(os::wrap_descriptors(fds));
  closed_ = true;
  return Handle{std::move(parcel), Handle::Kind::channel,
                static_cast<std::uint8_t>(Mechanism::file)};
}

}  // namespace bulkhead::transport::file

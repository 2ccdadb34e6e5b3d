// SPDX-License-Identifier: Apache-2.0
#include "transport/unix_meeting.hpp"

#include <cstring>
#include <optional>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/names.hpp"
#include "os/socket.hpp"
#include "os/syscall.hpp"
#include "transport/parameters.hpp"
#include "transport/unix_socket.hpp"
#include "transport/unix_stream.hpp"

namespace bulkhead::transport {
namespace {

struct SocketAddress {
  sockaddr_un address{};
  socklen_t size = 0;

  explicit SocketAddress(const MeetingPlace& place) {
    address.sun_family = AF_UNIX;
    // An abstract name is a zero byte and the name, without a zero at its end (unix(7)).
    char* const to = address.sun_path + (place.is_abstract ? 1 : 0);
    std::memcpy(to, place.path.data(), place.path.size());
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + place.path.size() + 1);
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

Result<Fd> make_socket(const MeetingPlace& place) {
  const int type = place.is_stream ? SOCK_STREAM : SOCK_SEQPACKET;
  Fd socket = Fd::adopt(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return os::failed("make", "socket");
  return socket;
}

int try_connect(FdView socket, const SocketAddress& to) {
  return os::retry_eintr([&] { return ::connect(socket.native(), to.get(), to.size); });
}

/// Who listens there now: its pid, 0 for "somebody", or nothing when nobody does.
Result<std::optional<pid_t>> listener_at(const MeetingPlace& place) {
  const Fd probe = BULKHEAD_TRY(make_socket(place));
  if (try_connect(probe, SocketAddress{place}) == 0) return os::peer_credentials(probe).pid;
  if (errno == ECONNREFUSED || errno == ENOENT) return std::optional<pid_t>{};
  return 0;  // its queue is full, it is of another type, or not for us: it lives
}

std::unexpected<Error> in_use(pid_t pid) {
  return fail(ErrorKind::exists,
              {.cause = "name in use by " +
                        (pid > 0 ? "pid " + std::to_string(pid) : std::string{"a process"}),
               .remedy = "stop it or choose another name"});
}

Result<void> remove_stale_socket(const MeetingPlace& place) {
  struct stat found{};
  if (::lstat(place.path.c_str(), &found) != 0) {
    return errno == ENOENT ? Result<void>{} : os::failed("look at", place.path);
  }
  if (!S_ISSOCK(found.st_mode)) {
    return fail(ErrorKind::exists, {.cause = "there is a file that is no socket",
                                    .remedy = "remove it or choose another name"});
  }
  // Somebody may listen there who does not know of our lock files.
  if (const auto pid = BULKHEAD_TRY(listener_at(place))) return in_use(*pid);
  if (::unlink(place.path.c_str()) != 0 && errno != ENOENT) {
    return os::failed("remove stale", place.path);
  }
  return {};
}

/// The name in the file system, removed when it goes and is still ours.
class BoundPath {
 public:
  BoundPath(std::string path, os::NameLock lock) : path_(std::move(path)), lock_(std::move(lock)) {
    struct stat made{};
    if (::lstat(path_.c_str(), &made) == 0) {
      device_ = made.st_dev;
      inode_ = made.st_ino;
    }
    lock_.made();
  }
  BoundPath(const BoundPath&) = delete;
  BoundPath& operator=(const BoundPath&) = delete;
  ~BoundPath() {
    struct stat found{};
    const bool still_ours = lock_.is_ours() && ::lstat(path_.c_str(), &found) == 0 &&
                            found.st_dev == device_ && found.st_ino == inode_;
    if (still_ours) ::unlink(path_.c_str());
  }

 private:
  std::string path_;
  os::NameLock lock_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

class SocketAcceptor final : public Acceptor {
 public:
  SocketAcceptor(Fd socket, std::unique_ptr<BoundPath> bound, ChannelOptions options,
                 bool other_users, MakeLink make_link)
      : socket_(std::move(socket)),
        bound_(std::move(bound)),
        options_(options),
        other_users_(other_users),
        make_link_(std::move(make_link)) {}
  ~SocketAcceptor() override { close(); }

  Result<std::unique_ptr<Link>> accept(Deadline deadline) override {
    for (;;) {
      if (closed_) return fail(ErrorKind::closed);
      Fd client = take_client();
      if (client) {
        auto link = welcome(std::move(client));
        if (!link && link.error() == ErrorKind::denied) continue;
        return link;
      }
      if (errno == ECONNABORTED) continue;
      // Out of descriptors: told, not retried, or we would spin while the client waits.
      if (errno != EAGAIN) return os::failed("accept", {}, "close some or raise the limit");
      if (deadline == no_wait) return fail(ErrorKind::empty);
      if (BULKHEAD_TRY(os::poll_one(socket_, POLLIN, deadline)) == 0) {
        return fail(ErrorKind::timed_out);
      }
    }
  }

  FdView readable() const noexcept override { return socket_; }

  void close() noexcept override {
    if (closed_) return;
    closed_ = true;
    bound_.reset();
    // For who waits on a copy of the descriptor; a forked child's copy must not end the parent's.
    if (owner_ != ::getpid()) return;
    ::shutdown(socket_.native(), SHUT_RDWR);
    // Nobody new can come; who has come already hears that nobody takes them in.
    while (take_client()) {
    }
  }

 private:
  /// errno says why there is none.
  Fd take_client() noexcept {
    return Fd::adopt(os::retry_eintr([&] {
      return ::accept4(socket_.native(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }));
  }

  /// It hung up before it said anything: it died, or only looked whether we are there.
  static bool has_gone(FdView client) {
    char byte = 0;
    return os::retry_eintr(
               [&] { return ::recv(client.native(), &byte, 1, MSG_PEEK | MSG_DONTWAIT); }) == 0;
  }

  Result<std::unique_ptr<Link>> welcome(Fd client) {
    if (has_gone(client)) return fail(ErrorKind::denied);
    const bool stranger = os::peer_credentials(client).uid != ::geteuid();
    if (stranger && !other_users_) {
      is_unix_stream(client) ? refuse_unix_stream(client) : refuse_unix(client);
      return fail(ErrorKind::denied);
    }
    ChannelOptions options = options_;
    if (stranger) options.trust = Trust::untrusted;
    return make_link_(std::move(client), options);
  }

  Fd socket_;
  std::unique_ptr<BoundPath> bound_;
  const ChannelOptions options_;
  const bool other_users_;
  const MakeLink make_link_;
  const pid_t owner_ = ::getpid();
  bool closed_ = false;
};

Result<void> bind_path(FdView socket, const MeetingPlace& place, mode_t mode) {
  BULKHEAD_TRY(remove_stale_socket(place));
  const SocketAddress address{place};
  // The mode of the socket before bind is that of the file, less the umask, which is not ours to
  // change: never more open than wanted, not even for a moment.
  ::fchmod(socket.native(), mode);
  if (::bind(socket.native(), address.get(), address.size) != 0)
    return os::failed("bind", place.path);
  auto restored = os::restore_mode(place.path, S_IFSOCK, mode);
  // Ours, and not to be left behind; unless it is somebody else's by now.
  if (!restored && restored.error() != ErrorKind::denied) ::unlink(place.path.c_str());
  return restored;
}

Result<MeetingPlace> checked(MeetingPlace place) {
  const std::size_t most = sizeof(sockaddr_un::sun_path) - 1;
  if (place.path.size() <= most && place.path.find('\0') == std::string::npos) return place;
  return fail(ErrorKind::invalid,
              {.cause = "the path has a zero byte or more than " + std::to_string(most) + " bytes",
               .remedy = "choose a shorter one"});
}

}  // namespace

Result<MeetingPlace> MeetingPlace::of_unix(const std::string& address) {
  std::string name = address;
  auto parameters = BULKHEAD_TRY(Parameters::cut_from(name));
  const auto type = BULKHEAD_TRY(parameters.one_of("type", {"seqpacket", "stream"}));
  BULKHEAD_TRY(parameters.expect_none_left());
  const bool is_stream = type.value_or(0) == 1;
  if (name.size() > 1 && name.front() == '@') return checked({name.substr(1), true, is_stream});
  if (name.size() > 1 && name.front() == '/') return checked({name, false, is_stream});
  return fail(ErrorKind::invalid, {.cause = "it is neither an absolute path nor an abstract name",
                                   .remedy = "write unix:///path or unix:@name"});
}

Result<MeetingPlace> MeetingPlace::of_shm(const std::string& address) {
  std::string name = address;
  const auto parameters = BULKHEAD_TRY(Parameters::cut_from(name));
  BULKHEAD_TRY(parameters.expect_none_left());
  BULKHEAD_TRY(os::check_name(name, 64));
  return checked(
      {BULKHEAD_TRY(os::runtime_directory()) + "/" + name + ".shm", false, false, "shm"});
}

Result<Fd> connect_to(const MeetingPlace& place, Deadline deadline) {
  using namespace std::chrono_literals;
  const SocketAddress address{place};
  std::chrono::milliseconds pause = 1ms;
  for (;;) {
    Fd socket = BULKHEAD_TRY(make_socket(place));
    if (try_connect(socket, address) == 0) return socket;
    if (errno == EPROTOTYPE) {
      return fail(ErrorKind::incompatible, {.cause = "there listens a socket of another type"});
    }
    if (errno == ENOENT || errno == ECONNREFUSED) {
      return fail(ErrorKind::not_found,
                  {.cause = "nobody listens there",
                   .remedy = "start the one that does, as the same user and runtime directory"});
    }
    if (errno != EAGAIN) return os::failed("connect");
    // The listener's queue is full. The kernel has nothing to poll for that (connect(2)).
    if (deadline == no_wait || deadline.expired()) {
      return fail(ErrorKind::timed_out, {.cause = "the listener takes nobody in at the moment"});
    }
    BULKHEAD_TRY(os::poll({}, earlier(deadline, Deadline{pause})));
    pause = std::min(2 * pause, 16ms);
  }
}

ChannelOptions for_peer_of(FdView socket, ChannelOptions options) {
  if (os::peer_credentials(socket).uid != ::geteuid()) options.trust = Trust::untrusted;
  return options;
}

Result<std::unique_ptr<Acceptor>> listen_at(const MeetingPlace& place,
                                            const ChannelOptions& options, bool other_users,
                                            MakeLink make_link) {
  Fd socket = BULKHEAD_TRY(make_socket(place));
  std::unique_ptr<BoundPath> bound;
  if (place.is_abstract) {
    const SocketAddress address{place};
    if (::bind(socket.native(), address.get(), address.size) != 0) {
      if (errno != EADDRINUSE) return os::failed("bind");
      return in_use(BULKHEAD_TRY(listener_at(place)).value_or(0));
    }
  } else {
    auto lock = BULKHEAD_TRY(
        os::NameLock::take(place.path + ".lock", place.mechanism, os::Named::socket, place.path));
    BULKHEAD_TRY(bind_path(socket, place, other_users ? 0666 : 0600));
    bound = std::make_unique<BoundPath>(place.path, std::move(lock));
  }
  if (::listen(socket.native(), SOMAXCONN) != 0) return os::failed("listen");
  return std::make_unique<SocketAcceptor>(std::move(socket), std::move(bound), options, other_users,
                                          std::move(make_link));
}

}  // namespace bulkhead::transport

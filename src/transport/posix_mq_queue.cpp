// SPDX-License-Identifier: Apache-2.0
#include "transport/posix_mq_queue.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <fstream>
#include <mqueue.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file_lock.hpp"
#include "os/syscall.hpp"
#include "transport/link.hpp"
#include "transport/queue_frame.hpp"

namespace bulkhead::transport::posix_mq {
namespace {

/// The kernel adds about so much to each message that a queue may hold (mq_overview(7)).
constexpr std::size_t kernel_bytes = 96;

std::size_t limit(const char* name, std::size_t otherwise) {
  std::ifstream file{std::string{"/proc/sys/fs/mqueue/"} + name};
  std::size_t value = 0;
  return file >> value ? value : otherwise;
}

std::size_t memory_limit() {
  rlimit found{};
  if (::getrlimit(RLIMIT_MSGQUEUE, &found) != 0 || found.rlim_cur == RLIM_INFINITY) {
    return static_cast<std::size_t>(1) << 40;
  }
  return static_cast<std::size_t>(found.rlim_cur);
}

std::size_t memory_of(const Size& size) { return size.depth * (size.unit + kernel_bytes); }

/// The largest that is allowed, wished for and within its share.
Size first_size(const Wish& wish) {
  const std::size_t most = limit("msgsize_max", 8192);
  const std::size_t most_depth = limit("msg_max", 10);
  Size size;
  size.unit = std::min({wish.unit != 0 ? wish.unit : 8192, most, queue_frame::most_unit});
  size.depth =
      wish.depth != 0 ? wish.depth : std::max<std::size_t>(10, wish.capacity_bytes / size.unit);
  size.depth = std::clamp<std::size_t>(size.depth, 1, most_depth);
  if (wish.unit != 0) return size;
  const std::size_t share = memory_limit() / wish.share;
  while (size.unit > 2 * queue_frame::least_unit && memory_of(size) > share) size.unit /= 2;
  return size;
}

std::unexpected<Error> no_room(int number) {
  switch (number) {
    case EMFILE:
    case ENOMEM:
      return fail(ErrorKind::exhausted,
                  {.operation = "make",
                   .object = "message queue",
                   .cause = "this user's queues have all the memory that one user's may have (" +
                            std::to_string(memory_limit()) +
                            " bytes, RLIMIT_MSGQUEUE), or this process has no descriptor to spare",
                   .remedy = "close some, or raise it: ulimit -q or LimitMSGQUEUE=, ulimit -n",
                   .code = {number, std::generic_category()}});
    case ENOSPC:
      return fail(ErrorKind::exhausted,
                  {.operation = "make",
                   .object = "message queue",
                   .cause = "the system has all " + std::to_string(limit("queues_max", 256)) +
                            " queues that it may have",
                   .remedy = "raise /proc/sys/fs/mqueue/queues_max",
                   .code = {number, std::generic_category()}});
    default:
      return fail(Error::from_errno(number, {.operation = "make", .object = "message queue"}));
  }
}

int open_flags(Side side) {
  return (side == Side::sender ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_CLOEXEC;
}

int try_create(const std::string& name, Side side, const Size& size) {
  mq_attr attributes{};
  attributes.mq_maxmsg = static_cast<long>(size.depth);
  attributes.mq_msgsize = static_cast<long>(size.unit);
  return ::mq_open(name.c_str(), open_flags(side) | O_CREAT | O_EXCL, 0600, &attributes);
}

/// Room is left for another one, up to four times as large: so that the first does not take all.
bool leaves_some(const Size& size) {
  const std::size_t largest = std::min<std::size_t>(8192, limit("msgsize_max", 8192));
  const auto name = random_name();
  if (!name) return true;
  const Fd probe = Fd::adopt(
      try_create("/" + *name, Side::sender, {std::min(4 * size.unit, largest), size.depth}));
  if (probe) ::mq_unlink(("/" + *name).c_str());
  return static_cast<bool>(probe);
}

unsigned byte_of(Side side) { return side == Side::sender ? 0 : 1; }
constexpr unsigned of_process = 2;
/// What an open file may lock depends on what it is open for.
short lock_type(Side side) { return side == Side::sender ? F_WRLCK : F_RDLCK; }

std::uint64_t byte_of_number(std::uint64_t number) {
  return (std::uint64_t{1} << 32) + (number >> 2);
}

/// This process has the same queue open on that side.
bool is_open_here(FdView queue, Side side) noexcept {
  struct stat wanted{};
  if (::fstat(queue.native(), &wanted) != 0) return false;
  DIR* const all = ::opendir("/proc/self/fd");
  if (all == nullptr) return false;
  bool found = false;
  while (const dirent* entry = found ? nullptr : ::readdir(all)) {
    // By the entry, not the number: other threads open and close theirs meanwhile.
    struct stat status{};
    found = ::fstatat(::dirfd(all), entry->d_name, &status, 0) == 0 &&
            status.st_ino == wanted.st_ino && status.st_dev == wanted.st_dev &&
            side_of(FdView{std::atoi(entry->d_name)}) == side;
  }
  ::closedir(all);
  return found;
}

}  // namespace

Result<std::string> random_name() {
  std::array<unsigned char, 16> random{};
  const auto size = os::retry_eintr([&] { return ::getrandom(random.data(), random.size(), 0); });
  if (size != static_cast<ssize_t>(random.size())) return os::failed("get", "random bytes");
  std::string name = "bulkhead.";
  for (const unsigned byte : random) {
    name += "0123456789abcdef"[byte >> 4];
    name += "0123456789abcdef"[byte & 15];
  }
  return name;
}

Result<Fd> create_queue(const std::string& name, Side side, const Wish& wish) {
  Size size = first_size(wish);
  for (;;) {
    Fd queue = Fd::adopt(try_create(name, side, size));
    const int number = errno;
    const bool may_shrink = wish.unit == 0 && size.unit > 2 * queue_frame::least_unit;
    if (queue) {
      if (!may_shrink || leaves_some(size)) {
        hold_side(queue, side);
        return queue;
      }
      ::mq_unlink(name.c_str());
    } else if (number != EMFILE || !may_shrink) {
      return no_room(number);
    }
    size.unit /= 2;
  }
}

Result<Fd> open_queue(const std::string& name, Side side) {
  Fd queue = Fd::adopt(::mq_open(name.c_str(), open_flags(side)));
  if (!queue) return os::failed("open", name);
  BULKHEAD_TRY(check_queue(queue));
  if (owner_of(queue) != ::geteuid()) {
    return fail(ErrorKind::denied,
                {.operation = "open", .object = name, .cause = "the queue is another user's"});
  }
  hold_side(queue, side);
  return queue;
}

Result<Ends> make_queue(const Wish& wish) {
  const std::string name = "/" + BULKHEAD_TRY(random_name());
  Ends ends;
  ends.sender = BULKHEAD_TRY(create_queue(name, Side::sender, wish));
  auto receiver = open_queue(name, Side::receiver);
  ::mq_unlink(name.c_str());
  ends.receiver = BULKHEAD_TRY(std::move(receiver));
  return ends;
}

std::optional<Side> side_of(FdView queue) noexcept {
  const int flags = ::fcntl(queue.native(), F_GETFL);
  if (flags != -1 && (flags & O_ACCMODE) == O_WRONLY) return Side::sender;
  if (flags != -1 && (flags & O_ACCMODE) == O_RDONLY) return Side::receiver;
  return std::nullopt;
}

Result<Size> check_queue(FdView queue) {
  mq_attr attributes{};
  if (::mq_getattr(queue.native(), &attributes) != 0) {
    // In a sandbox, which answers this call so for everybody.
    if (errno == EPERM) BULKHEAD_TRY(check_fits_sandbox(Mechanism::posix_mq));
    return fail(ErrorKind::invalid,
                {.operation = "use", .object = "descriptor", .cause = "it is not a message queue"});
  }
  const auto unit = static_cast<std::size_t>(attributes.mq_msgsize);
  if (!side_of(queue) || unit < queue_frame::least_unit || unit > queue_frame::most_unit) {
    return fail(ErrorKind::invalid,
                {.operation = "use",
                 .object = "message queue",
                 .cause = "it is open both ways, or its messages are of an unusable size"});
  }
  mq_attr wanted{};
  wanted.mq_flags = O_NONBLOCK;
  ::mq_setattr(queue.native(), &wanted, nullptr);
  return Size{unit, static_cast<std::size_t>(attributes.mq_maxmsg)};
}

void set_mark(FdView queue, Mark mark) noexcept {
  struct stat found{};
  if (::fstat(queue.native(), &found) != 0) return;
  ::fchmod(queue.native(), (found.st_mode & 0777) | static_cast<unsigned>(mark));
}

bool has_mark(FdView queue, Mark mark) noexcept {
  struct stat found{};
  return ::fstat(queue.native(), &found) == 0 && (found.st_mode & static_cast<unsigned>(mark)) != 0;
}

void hold_side(FdView queue, Side side) noexcept {
  struct flock lock = os::lock_of_byte(lock_type(side), byte_of(side));
  ::fcntl(queue.native(), F_OFD_SETLK, &lock);
}

bool is_held(FdView queue, Side side) noexcept {
  struct flock lock = os::lock_of_byte(F_WRLCK, byte_of(side));
  return ::fcntl(queue.native(), F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

void hold_number(FdView queue, std::uint64_t number) noexcept {
  struct flock lock = os::lock_of_byte(F_WRLCK, byte_of_number(number));
  ::fcntl(queue.native(), F_OFD_SETLK, &lock);
}

bool is_number_held(FdView queue, std::uint64_t number) noexcept {
  struct flock lock = os::lock_of_byte(F_WRLCK, byte_of_number(number));
  return ::fcntl(queue.native(), F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

void hold_for_process(FdView queue, Side side) noexcept {
  struct flock lock = os::lock_of_byte(lock_type(side), of_process + byte_of(side));
  ::fcntl(queue.native(), F_SETLK, &lock);
}

pid_t process_holding(FdView queue, Side side) noexcept {
  struct flock lock = os::lock_of_byte(F_WRLCK, of_process + byte_of(side));
  if (::fcntl(queue.native(), F_GETLK, &lock) != 0) return 0;
  if (lock.l_type != F_UNLCK) return std::max<pid_t>(lock.l_pid, 0);
  // A process is not told of its own locks.
  return is_open_here(queue, side) ? ::getpid() : 0;
}

uid_t owner_of(FdView queue) noexcept {
  struct stat found{};
  return ::fstat(queue.native(), &found) == 0 ? found.st_uid : static_cast<uid_t>(-1);
}

Result<Fd> make_watcher() {
  Fd watcher = Fd::adopt(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!watcher && errno == ENOSYS) {
    return fail(ErrorKind::unsupported,
                {.operation = "make",
                 .object = "inotify descriptor",
                 .cause = "this kernel or sandbox has no inotify(7), which tells who uses a queue",
                 .remedy = "use another mechanism"});
  }
  if (!watcher) {
    return os::failed("make", "inotify descriptor",
                      "close some channels, or raise /proc/sys/fs/inotify/max_user_instances");
  }
  return watcher;
}

Result<void> watch(FdView inotify, FdView queue, Side own_side) {
  // By number, as the queue has no name any more.
  const std::string path = "/proc/self/fd/" + std::to_string(queue.native());
  const std::uint32_t gone = own_side == Side::sender ? IN_CLOSE_NOWRITE : IN_CLOSE_WRITE;
  if (::inotify_add_watch(inotify.native(), path.c_str(), gone | IN_ATTRIB) >= 0) return {};
  return os::failed("watch", "message queue",
                    "it takes /proc, and /proc/sys/fs/inotify/max_user_watches to be large enough");
}

}  // namespace bulkhead::transport::posix_mq

// SPDX-License-Identifier: Apache-2.0
#include "os/names.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/poll.hpp"
#include "os/recorded_names.hpp"
#include "os/syscall.hpp"

namespace bulkhead::os {
namespace {

Result<void> own_private_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0) {
    BULKHEAD_TRY(restore_mode(path, S_IFDIR, 0700));
  } else if (errno != EEXIST) {
    return failed("make folder", path);
  }
  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0) return failed("look at folder", path);
  const bool ours = S_ISDIR(found.st_mode) && found.st_uid == ::geteuid();
  if (ours && (found.st_mode & 077) == 0) return {};
  return fail(ErrorKind::denied,
              {.operation = "use folder",
               .object = path,
               .cause = ours ? "others can enter it" : "it is not a folder of this user",
               .remedy = ours ? "chmod 700 it" : "remove it or set XDG_RUNTIME_DIR"});
}

std::string environment(const char* name) {
  const char* value = ::getenv(name);
  return value != nullptr ? value : "";
}

bool is_own_folder(const std::string& path) {
  struct stat found{};
  return ::stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode) && found.st_uid == ::geteuid();
}

constexpr const char* cleaner = "cleaning";
/// How often take() looks again at a name that a cleaner has for a moment, a millisecond apart.
constexpr int cleaner_patience = 100;
constexpr off_t longest_lock_file = 128;

/// What the holder wrote into its lock file: its pid, or that it cleans, and on the next line where
/// its record is. Empty when it has not got round to it.
std::string line_of(FdView file, int number) {
  std::array<char, longest_lock_file> text{};
  const auto size =
      retry_eintr([&] { return ::pread(file.native(), text.data(), text.size(), 0); });
  std::string_view all{text.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
  for (; number > 0; --number) all.remove_prefix(std::min(all.size(), all.find('\n') + 1));
  return std::string{all.substr(0, all.find('\n'))};
}
std::string holder_of(FdView file) { return line_of(file, 0); }
/// The name of its record's file; empty where there is none.
std::string record_of(FdView file) { return line_of(file, 1); }

Result<void> write_holder(FdView file, const std::string& holder, const std::string& path) {
  const std::string text = holder + "\n";
  if (::ftruncate(file.native(), 0) != 0 ||
      retry_eintr([&] { return ::pwrite(file.native(), text.data(), text.size(), 0); }) !=
          static_cast<ssize_t>(text.size())) {
    return failed("write", path);
  }
  return {};
}

/// TRUST: somebody else may have put something there: a link to a file of ours, say, and taken it
/// away again after we opened it. So what is in it must be what we write, too.
Result<void> check_lock_file(FdView file, const std::string& path) {
  struct stat found{};
  if (::fstat(file.native(), &found) != 0) return failed("look at", path);
  const std::string holder = holder_of(file);
  const bool ours =
      holder == cleaner || holder.find_first_not_of("0123456789") == std::string::npos;
  if (S_ISREG(found.st_mode) && found.st_uid == ::geteuid() && found.st_nlink == 1 &&
      found.st_size <= longest_lock_file && ours) {
    return {};
  }
  return fail(ErrorKind::denied, {.operation = "lock",
                                  .object = path,
                                  .cause = "there is something that is no lock file of this user",
                                  .remedy = "remove it or choose another name"});
}

/// The file at `path` is still the one that is open: its owner may have removed it meanwhile.
bool still_there(FdView file, const std::string& path) {
  struct stat held{};
  struct stat named{};
  return ::fstat(file.native(), &held) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

}  // namespace

Result<std::string> runtime_directory() {
  const std::string session = environment("XDG_RUNTIME_DIR");
  std::string path;
  if (session.starts_with('/') && is_own_folder(session)) {
    path = session + "/bulkhead";
  } else {
    const std::string temporary = environment("TMPDIR");
    path = (temporary.starts_with('/') ? temporary : "/tmp") + "/bulkhead-" +
           std::to_string(::geteuid());
  }
  BULKHEAD_TRY(own_private_folder(path));
  return path;
}

Result<void> check_name(std::string_view name, std::size_t most) {
  const char* cause = nullptr;
  if (name.empty()) {
    cause = "it is empty";
  } else if (name.size() > most) {
    cause = "it is too long";
  } else if (name.find('/') != name.npos || name.find('\0') != name.npos) {
    cause = "it contains a slash or a zero byte";
  } else if (name.front() == '.' || name.find("..") != name.npos) {
    cause = "it starts with a dot or contains two";
  }
  if (cause == nullptr) return {};
  return fail(ErrorKind::invalid,
              {.operation = "use name",
               .object = std::string{name.substr(0, 120)},
               .cause = std::string{"the name cannot be used: "} + cause,
               .remedy = "choose a plain name of at most " + std::to_string(most) + " bytes"});
}

Result<void> restore_mode(const std::string& path, mode_t type, mode_t mode) {
  struct stat found{};
  const bool has_it = ::lstat(path.c_str(), &found) == 0 && (found.st_mode & S_IFMT) == type &&
                      (found.st_mode & 0777) == mode;
  if (has_it) return {};  // nearly always; and needs no descriptor
  const Fd made = Fd::adopt(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!made || ::fstat(made.native(), &found) != 0) return failed("look at", path);
  if ((found.st_mode & S_IFMT) != type || found.st_uid != ::geteuid()) {
    return fail(ErrorKind::denied, {.operation = "set the mode of",
                                    .object = path,
                                    .cause = "somebody has put something else there"});
  }
  // By the descriptor: chmod(2) of a path would follow a link.
  const std::string itself = "/proc/self/fd/" + std::to_string(made.native());
  if (::chmod(itself.c_str(), mode) != 0) return failed("set the mode of", path);
  return {};
}

NameLock::NameLock(std::string path, Fd file) noexcept
    : path_(std::move(path)), file_(std::move(file)), owner_(::getpid()) {}

NameLock& NameLock::operator=(NameLock&& other) noexcept {
  if (this != &other) {
    release();
    path_ = std::move(other.path_);
    file_ = std::move(other.file_);
    owner_ = other.owner_;
    record_ = std::move(other.record_);
    predecessor_ = std::move(other.predecessor_);
  }
  return *this;
}

Result<NameLock> NameLock::take(const std::string& path) {
  return take_as(path, std::to_string(::getpid()));
}

Result<NameLock> NameLock::take_to_clean(const std::string& path) { return take_as(path, cleaner); }

Result<NameLock> NameLock::take(const std::string& path, std::string_view mechanism, Named kind,
                                std::string_view name) {
  NameRecord record = BULKHEAD_TRY(NameRecord::create(mechanism));
  BULKHEAD_TRY(record.add_lock(path));
  BULKHEAD_TRY(record.add(kind, name));
  NameLock lock =
      BULKHEAD_TRY(take_as(path, std::to_string(::getpid()) + "\n" + record.file_name()));
  // A queue may hold something yet.
  if (kind != Named::queue) lock.take_what_was_left(kind, name, NamedThing::Do::remove);
  lock.record_.emplace(std::move(record));
  return lock;
}

Result<NameLock> NameLock::take_as(const std::string& path, const std::string& holder) {
  for (int looks = 0;;) {
    Fd file = Fd::adopt(
        ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (!file) return failed("open", path);
    if (retry_eintr([&] { return ::flock(file.native(), LOCK_EX | LOCK_NB); }) != 0) {
      if (errno != EWOULDBLOCK) return failed("lock", path);
      if (!still_there(file, path)) continue;
      const std::string other = holder_of(file);
      if (other == cleaner && ++looks < cleaner_patience) {
        BULKHEAD_TRY(poll({}, std::chrono::milliseconds{1}));
        continue;
      }
      return fail(
          ErrorKind::exists,
          {.operation = "take",
           .object = path,
           .cause = "name in use by " +
                    (other.empty() || other == cleaner ? std::string{"a process"} : "pid " + other),
           .remedy = "stop it or choose another name"});
    }
    if (!still_there(file, path)) continue;  // the last owner removed it between our two calls
    BULKHEAD_TRY(check_lock_file(file, path));
    if (::fchmod(file.native(), 0600) != 0) return failed("lock", path);  // a umask of 0777
    std::string before = record_of(file);
    BULKHEAD_TRY(write_holder(file, holder, path));
    NameLock lock{path, std::move(file)};
    lock.predecessor_ = std::move(before);
    return lock;
  }
}

/// A process that dies gives up its locks a moment before its sockets, and of System V queues it is
/// said to be the user until it is waited for. So whether somebody seems to use what the last holder
/// of this lock made does not matter: by its birth it is that one's, who is gone.
bool NameLock::take_what_was_left(Named kind, std::string_view name, NamedThing::Do what) const {
  if (predecessor_.empty()) return false;
  bool found = false;
  for (const NamedThing& thing : read_names(predecessor_).things) {
    if (thing.kind != kind || thing.name != name) continue;
    // Whoever wants the name looks at it again, and has the words for what is in the way.
    const auto verdict = thing.take_away(what);
    found = found || (verdict && *verdict == NamedThing::Verdict::removed);
  }
  return found;
}

Result<NameLock> lock_segments() {
  const std::string path = BULKHEAD_TRY(runtime_directory()) + "/system_v_memory.lock";
  for (const Deadline patience = std::chrono::seconds{2};;) {
    auto lock = NameLock::take_to_clean(path);
    if (lock || lock.error() != ErrorKind::exists || patience.expired()) return lock;
    BULKHEAD_TRY(poll({}, std::chrono::milliseconds{1}));
  }
}

pid_t NameLock::owner_written_in(const std::string& path) {
  const Fd file =
      Fd::adopt(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  const std::string holder = file ? holder_of(file) : std::string{};
  pid_t pid = 0;
  std::from_chars(holder.data(), holder.data() + holder.size(), pid);
  return pid;
}

void NameLock::made() noexcept {
  if (record_) record_->made();
  // Not before: who cannot make the name after all leaves it to the record of the dead.
  if (!predecessor_.empty()) forget_record(predecessor_);
  predecessor_.clear();
}

bool NameLock::is_ours() const noexcept { return file_ && owner_ == ::getpid(); }

void NameLock::release() noexcept {
  // Removed while locked: who waits for the lock of a removed file sees that and starts again.
  if (is_ours()) ::unlink(path_.c_str());
  file_.close();
  record_.reset();
}

}  // namespace bulkhead::os

// SPDX-License-Identifier: Apache-2.0
#include "os/name_record.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <fcntl.h>
#include <mqueue.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/names.hpp"
#include "os/syscall.hpp"

namespace bulkhead::os {
namespace {

constexpr std::size_t longest_path = 4096;

std::string_view word(Named kind) {
  switch (kind) {
    case Named::socket:
      return "socket";
    case Named::fifo:
      return "fifo";
    case Named::queue:
      return "queue";
    case Named::memory:
      return "memory";
    case Named::segment:
      return "segment";
    case Named::semaphore:
      return "semaphore";
    case Named::draft:
      return "draft";
    case Named::key:
      break;
  }
  return "key";
}

std::string identity(const struct statx& found) {
  const auto born = (found.stx_mask & STATX_BTIME) != 0
                        ? found.stx_btime.tv_sec * 1'000'000'000 + found.stx_btime.tv_nsec
                        : 0;
  return std::to_string(found.stx_dev_major) + "." + std::to_string(found.stx_dev_minor) + ":" +
         std::to_string(found.stx_ino) + ":" + std::to_string(born);
}

bool still_there(FdView file, const std::string& path) {
  struct stat held{};
  struct stat named{};
  return ::fstat(file.native(), &held) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

}  // namespace

Result<std::string> record_directory() {
  std::string path = BULKHEAD_TRY(runtime_directory()) + "/names";
  if (::mkdir(path.c_str(), 0700) == 0) {
    BULKHEAD_TRY(restore_mode(path, S_IFDIR, 0700));
  } else if (errno != EEXIST) {
    return failed("make folder", path);
  }
  return path;
}

void forget_record(const std::string& file_name) noexcept {
  try {
    const auto folder = record_directory();
    if (!folder || !file_name.ends_with(".name") || file_name.contains('/')) return;
    const std::string path = *folder + "/" + file_name;
    const Fd file = Fd::adopt(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file || retry_eintr([&] { return ::flock(file.native(), LOCK_EX | LOCK_NB); }) != 0 ||
        !still_there(file, path)) {
      return;  // somebody else sees to it
    }
    // mechanism, owner, lock, the name, and what was made.
    constexpr auto of_one_name = 5;
    std::string text(longest_path * 2 + 256, '\0');
    const auto size = ::pread(file.native(), text.data(), text.size(), 0);
    if (size < 0 || static_cast<std::size_t>(size) == text.size()) return;
    text.resize(static_cast<std::size_t>(size));
    if (std::count(text.begin(), text.end(), '\0') <= of_one_name) ::unlink(path.c_str());
  } catch (const std::bad_alloc&) {
  }
}

std::string identity_in(FdView folder, const std::string& name) {
  struct statx found{};
  const int flags = name.empty() ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;
  if (::statx(folder.native(), name.c_str(), flags, STATX_INO | STATX_BTIME, &found) != 0) {
    return {};
  }
  return identity(found);
}

std::string path_of_memory(std::string_view name) { return "/dev/shm" + std::string{name}; }

/// An id comes again only after its sequence number has wrapped.
std::string identity_of_id(int id) { return "0:" + std::to_string(id) + ":0"; }

namespace {

/// Of System V; -1 when there is none.
int id_of(Named kind, const std::string& name) {
  key_t key = 0;
  std::from_chars(name.data(), name.data() + name.size(), key);
  if (key == IPC_PRIVATE) return -1;
  if (kind == Named::key) return ::msgget(key, 0);
  return kind == Named::segment ? ::shmget(key, 0, 0) : ::semget(key, 0, 0);
}

}  // namespace

std::string identity_of(Named kind, const std::string& name) {
  if (kind == Named::key || kind == Named::segment || kind == Named::semaphore) {
    const int id = id_of(kind, name);
    return id < 0 ? std::string{} : identity_of_id(id);
  }
  if (kind == Named::memory) return identity_in(FdView{AT_FDCWD}, path_of_memory(name));
  if (kind != Named::queue) return identity_in(FdView{AT_FDCWD}, name);
  // A queue is a file of a file system that need not be mounted; its descriptor is a file's.
  const Fd queue = Fd::adopt(::mq_open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  return queue ? identity_in(queue, "") : std::string{};
}

NameRecord::NameRecord(std::string path, Fd file) noexcept
    : path_(std::move(path)), file_(std::move(file)), owner_(::getpid()) {}

NameRecord& NameRecord::operator=(NameRecord&& other) noexcept {
  if (this != &other) {
    release();
    path_ = std::move(other.path_);
    file_ = std::move(other.file_);
    owner_ = other.owner_;
    last_kind_ = other.last_kind_;
    last_name_ = std::move(other.last_name_);
  }
  return *this;
}

Result<NameRecord> NameRecord::create(std::string_view mechanism) {
  static std::atomic<unsigned> count{0};
  const std::string folder = BULKHEAD_TRY(record_directory());
  for (;;) {
    const std::string path = folder + "/" + std::to_string(::getpid()) + "." +
                             std::to_string(count.fetch_add(1)) + ".name";
    Fd file = Fd::adopt(
        ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file && errno == EEXIST) continue;  // of a dead process that had our number
    if (!file) return failed("make", path);
    // A cleaner may come between the two calls and take it for a dead one's: then it is gone.
    const bool ours = retry_eintr([&] { return ::flock(file.native(), LOCK_EX | LOCK_NB); }) == 0 &&
                      still_there(file, path);
    if (!ours) {
      if (still_there(file, path)) ::unlink(path.c_str());  // who held it only looked
      continue;
    }
    NameRecord record{path, std::move(file)};
    if (::fchmod(record.file_.native(), 0600) != 0) return failed("make", path);
    BULKHEAD_TRY(record.append("mechanism", mechanism));
    BULKHEAD_TRY(record.append("owner", std::to_string(::getpid())));
    return record;
  }
}

Result<NameRecord> NameRecord::adopt(Fd lock, std::string_view file_name) {
  const std::string path = BULKHEAD_TRY(record_directory()) + "/" + std::string{file_name};
  struct stat found{};
  if (!file_name.ends_with(".name") || file_name.contains('/') || file_name.contains('\0') ||
      ::fstat(lock.native(), &found) != 0 || !S_ISREG(found.st_mode) || !still_there(lock, path)) {
    return fail(ErrorKind::invalid, {.operation = "adopt", .object = "record of names"});
  }
  NameRecord record{path, std::move(lock)};
  BULKHEAD_TRY(record.append("owner", std::to_string(::getpid())));
  return record;
}

Result<void> NameRecord::append(std::string_view what, std::string_view value) {
  std::string entry{what};
  entry += ' ';
  entry += value;
  entry += '\0';
  const auto written =
      retry_eintr([&] { return ::write(file_.native(), entry.data(), entry.size()); });
  if (written == static_cast<ssize_t>(entry.size())) return {};
  if (written >= 0) errno = ENOSPC;
  return failed("write", path_);
}

Result<void> NameRecord::add(Named kind, std::string_view name) {
  BULKHEAD_TRY(append(word(kind), name));
  last_kind_ = kind;
  last_name_ = name;
  return {};
}

Result<void> NameRecord::add(Named kind, std::string_view name, std::string_view identity) {
  BULKHEAD_TRY(add(kind, name));
  return append("made", identity);
}

Result<void> NameRecord::add_lock(std::string_view path) { return append("lock", path); }

void NameRecord::made() noexcept {
  try {
    const std::string what = identity_of(last_kind_, last_name_);
    // One that cannot be written leaves the record as good as it was before.
    if (!what.empty()) static_cast<void>(append("made", what));
  } catch (const std::bad_alloc&) {
  }
}

void NameRecord::release() noexcept {
  if (file_ && owner_ == ::getpid()) ::unlink(path_.c_str());
  file_.close();
}

}  // namespace bulkhead::os

// SPDX-License-Identifier: Apache-2.0
#include "os/file_owner.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/crc32c.hpp"
#include "os/file.hpp"
#include "os/file_lock.hpp"
#include "os/poll.hpp"
#include "os/process_identity.hpp"
#include "os/syscall.hpp"

namespace bulkhead::os {
namespace {

std::uint32_t checksum(OwnerRecord record) {
  record.crc = 0;
  return crc32c({reinterpret_cast<const std::byte*>(&record), sizeof record});
}

}  // namespace

Result<OwnerRecord> OwnerRecord::read(FdView file, std::uint64_t offset, const std::string& path) {
  // A reader can meet a write half way; a few looks later it is whole.
  for (int looks = 0;; ++looks) {
    OwnerRecord record;
    const MutableBytes into{reinterpret_cast<std::byte*>(&record), sizeof record};
    const std::size_t size = BULKHEAD_TRY(read_at(file, offset, into, path));
    if (size == 0) return OwnerRecord{};
    if (size == sizeof record) {
      if (record.magic == 0 && record.state == never && record.session == 0) return OwnerRecord{};
      if (record.magic == right_magic && record.crc == checksum(record)) {
        if (record.version == 1 && record.state <= closed) return record;
        return fail(ErrorKind::incompatible,
                    {.operation = "read",
                     .object = path,
                     .cause = "its owner's record has version " + std::to_string(record.version),
                     .remedy = "use the same version of Bulkhead at both ends"});
      }
    }
    if (looks == 100) {
      return fail(ErrorKind::corrupt, {.operation = "read",
                                       .object = path,
                                       .cause = "its owner's record at offset " +
                                                std::to_string(offset) + " is damaged"});
    }
  }
}

FileOwner::FileOwner(Fd file, std::uint64_t offset, std::string path, OwnerRecord before) noexcept
    : file_(std::move(file)),
      offset_(offset),
      path_(std::move(path)),
      before_(before),
      now_(before),
      owner_(::getpid()) {}

Result<FileOwner> FileOwner::take(Fd file, std::uint64_t offset, std::string path) {
  struct flock lock = lock_of_byte(F_WRLCK, offset);
  if (retry_eintr([&] { return ::fcntl(file.native(), F_OFD_SETLK, &lock); }) != 0) {
    if (errno != EAGAIN && errno != EACCES) return failed("lock", path);
    auto owner = OwnerRecord::read(file, offset, path);
    const bool known = owner && owner->pid != 0;
    return fail(ErrorKind::exists,
                {.operation = "take",
                 .object = path,
                 .cause = "it is written by " + (known ? "pid " + std::to_string(owner->pid)
                                                       : std::string{"another process"}),
                 .remedy = "stop it or choose another name"});
  }
  auto before = OwnerRecord::read(file, offset, path);
  // A record that was torn by a power cut tells nothing, and hides nothing: start anew.
  if (!before && before.error() != ErrorKind::corrupt) return fail(std::move(before).error());
  FileOwner owner{std::move(file), offset, std::move(path),
                  before ? *before : OwnerRecord{.session = random_word() >> 32}};
  // From now on a second one is told our pid; the state stays what it was.
  owner.now_.pid = static_cast<std::uint32_t>(owner.owner_);
  BULKHEAD_TRY(owner.write(owner.now_));
  return owner;
}

Result<void> FileOwner::write(OwnerRecord record) {
  record.pid = static_cast<std::uint32_t>(owner_);
  record.start = start_of(static_cast<pid_t>(record.pid));
  record.boot = this_boot();
  record.crc = checksum(record);
  BULKHEAD_TRY(write_at(file_, offset_,
                        Bytes{reinterpret_cast<const std::byte*>(&record), sizeof record}, path_));
  now_ = record;
  return {};
}

Result<void> FileOwner::open() {
  OwnerRecord record = now_;
  record.state = OwnerRecord::open;
  record.session = now_.session + 1;
  record.end = 0;
  return write(record);
}

void FileOwner::close(std::uint64_t end) noexcept {
  if (!is_ours() || now_.state != OwnerRecord::open) return;
  OwnerRecord record = now_;
  record.state = OwnerRecord::closed;
  record.end = end;
  static_cast<void>(write(record));
}

bool FileOwner::is_ours() const noexcept { return file_ && owner_ == ::getpid(); }

/// An owner writes that it closes before it lets go of the lock. So one that is said to be open, by
/// a record read after the lock was seen free, has died.
Result<void> OwnerSight::look() {
  record_ = BULKHEAD_TRY(OwnerRecord::read(file_, offset_, path_));
  for (;;) {
    struct flock lock = lock_of_byte(F_WRLCK, offset_);
    if (retry_eintr([&] { return ::fcntl(file_.native(), F_OFD_GETLK, &lock); }) != 0) {
      return failed("look at the lock of", path_);
    }
    held_ = lock.l_type != F_UNLCK;
    if (held_) break;
    const OwnerRecord again = BULKHEAD_TRY(OwnerRecord::read(file_, offset_, path_));
    if (again.crc == record_.crc) break;
    record_ = again;
  }
  if (record_.state != OwnerRecord::open) {
    pidfd_.close();
    lives_ = false;
    return {};
  }
  if (watched_session_ != record_.session || !pidfd_) watch_process();
  bool gone = false;
  if (pidfd_) {
    const auto ended = poll_one(pidfd_, POLLIN, no_wait);
    gone = ended && *ended != 0;
  }
  lives_ = held_ && !gone;
  return {};
}

/// The pid alone may be another's by now: the moment of its start says. A pidfd, once open, is
/// always of the same process.
void OwnerSight::watch_process() {
  pidfd_.close();
  watched_session_ = record_.session;
  if (!held_ || record_.boot != this_boot() || record_.start == 0) return;
  Fd pidfd =
      Fd::adopt(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(record_.pid), 0)));
  if (!pidfd || start_of(static_cast<pid_t>(record_.pid)) != record_.start) return;
  pidfd_ = std::move(pidfd);
}

}  // namespace bulkhead::os

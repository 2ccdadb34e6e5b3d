// SPDX-License-Identifier: Apache-2.0
//
// FileOwner: who writes a file, so that nobody else does, and so that those who read it learn of
// its end from the kernel. The right to write is a lock on the record's first byte (an open file
// description lock: it goes with the process, however that ends); the record says who, so that a
// second one can be told, and so that others can wait for a pidfd.
//
// LAYOUT of the record (48 bytes, native byte order)      written by the owner, read by anybody
//   0   4  magic     "BHow"; another order of bytes reads as another magic
//   4   2  version   1
//   6   2  state     0 never, 1 open, 2 closed in good order
//   8   4  pid       in the owner's process namespace
//   12  4  crc       CRC32C of the record with this field 0
//   16  8  start     of the process: field 22 of /proc/PID/stat
//   24  8  boot      of the machine: a hash of /proc/sys/kernel/random/boot_id
//   32  8  session   counts the openings
//   40  8  end       the owner's word for what it wrote, when it closed
//
// STATE never or closed --open(), session + 1--> open --close()--> closed; open and the lock free,
// or its process gone: died. open() by the next owner leads out of it.
// A forked child shares the lock until it execs or exits: then only the pid says that it is dead.
#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::os {

struct OwnerRecord {
  enum : std::uint16_t { never = 0, open = 1, closed = 2 };
  static constexpr std::uint32_t right_magic = 0x776f4842;

  std::uint32_t magic = right_magic;
  std::uint16_t version = 1;
  std::uint16_t state = never;
  std::uint32_t pid = 0;
  std::uint32_t crc = 0;
  std::uint64_t start = 0;
  std::uint64_t boot = 0;
  std::uint64_t session = 0;
  std::uint64_t end = 0;

  /// `corrupt` when it is not what somebody wrote; all zero is a record of state `never`.
  static Result<OwnerRecord> read(FdView file, std::uint64_t offset, const std::string& path);
};
static_assert(sizeof(OwnerRecord) == 48);

class FileOwner {
 public:
  /// `exists` with the pid when a live process has it. Never waits.
  static Result<FileOwner> take(Fd file, std::uint64_t offset, std::string path);

  FileOwner(FileOwner&&) noexcept = default;
  FileOwner& operator=(FileOwner&&) = delete;

  /// Tells that this process writes now.
  Result<void> open();
  /// Tells that it has ended in good order. Nothing in a forked child.
  void close(std::uint64_t end) noexcept;

  const OwnerRecord& before() const noexcept { return before_; }  ///< what the last one left
  FdView file() const noexcept { return file_; }
  bool is_ours() const noexcept;

 private:
  FileOwner(Fd file, std::uint64_t offset, std::string path, OwnerRecord before) noexcept;
  Result<void> write(OwnerRecord record);

  Fd file_;
  std::uint64_t offset_;
  std::string path_;
  OwnerRecord before_;
  OwnerRecord now_;
  pid_t owner_;
};

/// What another process sees of an owner.
class OwnerSight {
 public:
  /// `file` stays the caller's.
  OwnerSight(FdView file, std::uint64_t offset, std::string path) noexcept
      : file_(file), offset_(offset), path_(std::move(path)) {}

  /// Looks anew.
  Result<void> look();

  const OwnerRecord& record() const noexcept { return record_; }
  /// An owner that has opened and neither closed nor died.
  bool is_open() const noexcept { return record_.state == OwnerRecord::open && lives_; }
  /// Somebody holds the lock, open or not.
  bool is_held() const noexcept { return held_; }
  bool has_died() const noexcept { return record_.state == OwnerRecord::open && !lives_; }
  /// Readable when the owner last seen open dies; nothing when it is not one of this machine's
  /// processes that we can see.
  FdView pidfd() const noexcept { return pidfd_; }

 private:
  void watch_process();

  FdView file_;
  std::uint64_t offset_;
  std::string path_;
  OwnerRecord record_;
  bool held_ = false;
  bool lives_ = false;
  Fd pidfd_;
  std::uint64_t watched_session_ = 0;
};

}  // namespace bulkhead::os

// SPDX-License-Identifier: Apache-2.0
//
// NameRecord: a note in the runtime directory that this process has, or is about to make, names in
// the system: a socket or FIFO at a path, a message queue, a lock file. It is how stale_names.hpp
// finds what a process left behind that was killed.
//
// Order, so that a process killed at any instruction leaves nothing unknown: make the record, add()
// the name, make the thing, tell made(). At the end remove the thing, then drop the record. A name
// that is added and was never made costs nothing.
//
// The record belongs to whoever holds the lock on its file, and so ends with the process; a forked
// child shares it until it execs or exits and never removes it. Costs a descriptor for its life.
//
// LAYOUT of a record: a file of any name in RUNTIME/names, entries one after the other, each ended
// by a zero byte; what has no zero byte behind it was being written when its owner died, and is not
// there. Only ever appended to.
//   mechanism TEXT   the first: who may name it ("fifo")
//   owner PID
//   lock PATH        the lock file whose holder has the name that follows (names.hpp)
//   socket|fifo|queue|key|memory|segment|semaphore|draft TEXT   a name: a path, "/name" of a POSIX
//                                object, a System V key (decimal)
//   made DEVICE:INODE:BIRTH      of the name before it: what was made there
// TRUST: the folder is this user's alone (mode 0700), and still nothing is removed that is not of
// the kind that was written down, of this user, and the one that was made.
#pragma once

#include <string>
#include <string_view>
#include <sys/types.h>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

namespace bulkhead::os {

/// What kind of thing a name stands for, and so how it is removed.
enum class Named : std::uint8_t {
  socket,   ///< a path: a Unix socket
  fifo,     ///< a path: a FIFO
  queue,    ///< "/name": a POSIX message queue
  key,      ///< a System V message queue's key, in decimal
  memory,   ///< "/name": POSIX shared memory; in use while somebody has its file locked
  segment,  ///< a System V shared memory's key, in decimal; in use while it is attached
  semaphore,  ///< a System V semaphore set's key, in decimal; in use while it has users (semaphore_set.hpp)
  draft,  ///< a path: a file that was to get another name (draft.hpp)
};

class NameRecord {
 public:
  /// `mechanism`: as in addresses ("fifo"). No names yet.
  static Result<NameRecord> create(std::string_view mechanism);

  NameRecord(NameRecord&& other) noexcept = default;
  NameRecord& operator=(NameRecord&& other) noexcept;
  ~NameRecord() { release(); }

  /// Before it is made. Any number of names that live as long as this record.
  Result<void> add(Named kind, std::string_view name);
  /// Before the lock file is made: NameLock::take does it.
  Result<void> add_lock(std::string_view path);
  /// The last name added has been made: nothing else that bears the name later is taken for it.
  /// Without this, anything of that kind, this user's and unused, is.
  void made() noexcept;
  /// A name and what will bear it, where that is known before: a file that is about to get it.
  Result<void> add(Named kind, std::string_view name, std::string_view identity);

  /// Of the file in record_directory().
  std::string file_name() const { return path_.substr(path_.rfind('/') + 1); }
  /// Drops the record: its names must have been removed. Nothing in a forked child.
  void release() noexcept;

  /// To another process of this user, which holds the record as long as it has the descriptor, on
  /// its way there already. Then leave(), and adopt() there.
  FdView lock() const noexcept { return file_; }
  void leave() noexcept { file_.close(); }  ///< also: what it names stays, for whoever cleans
  /// TRUST: `invalid` unless it is the record of that name.
  static Result<NameRecord> adopt(Fd lock, std::string_view file_name);

 private:
  NameRecord(std::string path, Fd file) noexcept;
  Result<void> append(std::string_view what, std::string_view value);

  std::string path_;
  Fd file_;
  pid_t owner_ = 0;
  Named last_kind_ = Named::socket;
  std::string last_name_;
};

/// The lock that this record tells of has been taken over from its dead owner. Drops the record,
/// unless other names stand there too.
void forget_record(const std::string& file_name) noexcept;

/// RUNTIME/names, made when missing.
Result<std::string> record_directory();

/// "DEVICE:INODE:BIRTH" of what bears that name now; empty when there is nothing of that kind.
std::string identity_of(Named kind, const std::string& name);
/// The same of what lies in an open folder; of the open file itself for an empty name.
std::string identity_in(FdView folder, const std::string& name);
/// The same of a System V queue's, memory's or semaphore set's id.
std::string identity_of_id(int id);
/// Where the memory "/name" of POSIX is as a file, shm_overview(7).
std::string path_of_memory(std::string_view name);

}  // namespace bulkhead::os

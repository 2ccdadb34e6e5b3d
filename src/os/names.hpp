// SPDX-License-Identifier: Apache-2.0
//
// Names in the file system and who owns them. A name belongs to the live process that holds the
// lock on its lock file, and to nobody when that process is gone, however it went: the kernel drops
// the lock. So a name of the dead is taken over by the next who wants it, and never a live one's.
//
// A forked child shares its parent's lock until it execs or exits: the name counts as owned as long
// as either lives, and only the process that took it removes it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

#include "os/name_record.hpp"
#include "os/named_thing.hpp"

namespace bulkhead::os {

/// Where this user's names are: $XDG_RUNTIME_DIR/bulkhead, or bulkhead-UID in $TMPDIR (/tmp) where
/// there is no such variable or folder. Made when missing, mode 0700. `denied` when it is somebody
/// else's or open to others.
Result<std::string> runtime_directory();

/// `invalid` unless `name` can be one file in a folder: not empty, no '/', no NUL, not starting
/// with a dot, no "..", at most `most` bytes.
Result<void> check_name(std::string_view name, std::size_t most);

class NameLock;
/// Nobody of this user attaches, makes or removes System V memory meanwhile: there is no other way to
/// remove what nobody uses without taking it from somebody who has just begun to. Held for a few
/// system calls; waits for who has it for two seconds at most, then `exists`.
Result<NameLock> lock_segments();

/// Gives what we have just made at `path` the mode that the umask took from it, unless it has it.
/// Only if it is of that type (S_IFSOCK, ...) and this user's: links that somebody else put in its
/// place are not followed.
Result<void> restore_mode(const std::string& path, mode_t type, mode_t mode);

class NameLock {
 public:
  /// Takes the name whose lock file is `path`. `exists` with the owner's pid when a live process
  /// has it. Never waits.
  static Result<NameLock> take(const std::string& path);
  /// The same for a name of `mechanism` that `bulkhead clean` is to find when this process was
  /// killed: recorded before the lock file is made. What a dead holder left there is removed, but
  /// for a queue. Call made() when the thing is there.
  static Result<NameLock> take(const std::string& path, std::string_view mechanism, Named kind,
                               std::string_view name);
  /// The same for who removes what the dead left. While it holds the lock, take() waits for it, a
  /// tenth of a second at most, and does not say `exists`.
  static Result<NameLock> take_to_clean(const std::string& path);

  /// The pid in that lock file, by whoever locked it last; 0 when there is none.
  static pid_t owner_written_in(const std::string& path);

  NameLock(NameLock&& other) noexcept = default;
  NameLock& operator=(NameLock&& other) noexcept;
  ~NameLock() { release(); }

  /// In this process; false in a forked child of the owner.
  bool is_ours() const noexcept;
  /// Before made(): what bears that name is what a dead holder of this lock left.
  bool is_of_the_dead(Named kind, std::string_view name) const {
    return take_what_was_left(kind, name, NamedThing::Do::look);
  }
  /// What the name stands for has been made. Nothing where nothing is recorded.
  void made() noexcept;
  /// A further name that lives as long as this one, before it is made; then made(). REQUIRES: taken
  /// with a record.
  Result<void> also(Named kind, std::string_view name) { return record_->add(kind, name); }
  /// Removes the lock file and gives the name up. Remove what it protects first.
  void release() noexcept;

 private:
  NameLock(std::string path, Fd file) noexcept;
  bool take_what_was_left(Named kind, std::string_view name, NamedThing::Do what) const;
  static Result<NameLock> take_as(const std::string& path, const std::string& holder);

  std::string path_;
  Fd file_;
  pid_t owner_ = 0;
  std::optional<NameRecord> record_;
  std::string predecessor_;  // the record of the dead owner whose lock file this was
};

}  // namespace bulkhead::os

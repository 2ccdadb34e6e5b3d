// SPDX-License-Identifier: Apache-2.0
#include "memory/path_memory.hpp"

#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory/mapping.hpp"
#include "memory/memory_file.hpp"
#include "os/file.hpp"
#include "os/names.hpp"
#include "os/poll.hpp"
#include "os/recorded_names.hpp"
#include "os/syscall.hpp"

namespace bulkhead::memory {
namespace {

using os::Named;

constexpr const char* posix_mechanism = "posix_memory";
constexpr std::size_t longest_name = 254;  // with the slash NAME_MAX, shm_open(3)
/// How often open looks again at what somebody removes at this moment, a millisecond apart.
constexpr int patience = 1000;

bool is_posix(const MemoryName& name) { return name.kind == MemoryName::Kind::posix; }

Result<std::string> path_of(const MemoryName& name) {
  if (!is_posix(name)) return name.name;
  BULKHEAD_TRY(os::check_name(name.name, longest_name));
  return os::path_of_memory("/" + name.name);
}

bool lock(FdView file, int how) {
  return os::retry_eintr([&] { return ::flock(file.native(), how | LOCK_NB); }) == 0;
}

std::unexpected<Error> cannot(ErrorKind kind, const char* operation, const MemoryName& name,
                              std::string cause, std::string remedy) {
  return fail(kind, {.operation = operation,
                     .object = title_of(name),
                     .cause = std::move(cause),
                     .remedy = std::move(remedy)});
}

/// All blocks are there when this returns: no write to a mapping can find the disk full. (A file
/// system that copies on write, btrfs, may need more all the same: there the guard is the answer.)
Result<void> reserve(FdView file, std::size_t size, const std::string& object) {
  BULKHEAD_TRY(os::check_size_limit(size, object));
  const auto bytes = static_cast<off_t>(size);
  if (os::retry_eintr([&] { return ::fallocate(file.native(), 0, 0, bytes); }) == 0) return {};
  if (errno == EOPNOTSUPP) {
    do {
      errno = ::posix_fallocate(file.native(), 0, bytes);  // writes the blocks
    } while (errno == EINTR);
  }
  if (errno == 0) return {};
  if (errno == EFBIG) {
    return fail(ErrorKind::exhausted, {.operation = "reserve " + words(size) + " for",
                                       .object = object,
                                       .cause = "no file there can be that large"});
  }
  return os::failed("reserve " + words(size) + " for", object);
}

Result<void> check_found(FdView file, const MemoryName& name, std::size_t& size) {
  struct stat found{};
  if (::fstat(file.native(), &found) != 0) return os::failed("look at", title_of(name));
  if (!S_ISREG(found.st_mode)) {
    return cannot(ErrorKind::invalid, "open", name, "it is not a file", "map it as a Region");
  }
  // TRUST: processes of equal trust are this user's; whoever else can write it is not.
  const bool others = found.st_uid != ::geteuid() || (found.st_mode & 022) != 0;
  if (others) {
    return cannot(ErrorKind::denied, "open", name, "other users can write it",
                  "chmod 600 it, or use it as a Region");
  }
  if (found.st_size == 0) {
    return cannot(ErrorKind::corrupt, "open", name, "it is empty",
                  "its maker did not finish it: remove it");
  }
  size = static_cast<std::size_t>(found.st_size);
  return {};
}

/// Still has its name.
bool is_linked(FdView file) {
  struct stat found{};
  return ::fstat(file.native(), &found) == 0 && found.st_nlink > 0;
}

os::NamedThing thing_of(const MemoryName& name, FdView file) {
  return {Named::memory, "/" + name.name, os::identity_in(file, "")};
}

Result<os::NameRecord> record_of(const os::NamedThing& thing) {
  auto record = BULKHEAD_TRY(os::NameRecord::create(posix_mechanism));
  BULKHEAD_TRY(record.add(thing.kind, thing.name, thing.made));
  return record;
}

/// Becomes a user. False when it is on its way out, or gone: look at the name anew.
Result<bool> begin_use(PathMemory& memory, const MemoryName& name) {
  const auto thing = thing_of(name, memory.file);
  const bool ends_with_users = os::is_recorded(thing);
  if (ends_with_users) memory.record = BULKHEAD_TRY(record_of(thing));
  if (lock(memory.file, LOCK_EX) && ends_with_users) {
    // Nobody else uses it: its users were all killed.
    if (os::identity_of(thing.kind, thing.name) == thing.made) ::unlink(memory.path.c_str());
    return false;
  }
  return lock(memory.file, LOCK_SH) && is_linked(memory.file);
}

}  // namespace

std::string title_of(const MemoryName& name) {
  switch (name.kind) {
    case MemoryName::Kind::posix:
      return "POSIX memory " + name.name;
    case MemoryName::Kind::system_v:
      return "System V memory " + std::to_string(name.key);
    case MemoryName::Kind::file:
      break;
  }
  return name.name;
}

Result<PathMemory> make_path_memory(const MemoryName& name, std::size_t size, Ends ends) {
  PathMemory memory;
  memory.path = BULKHEAD_TRY(path_of(name));
  memory.owner = ::getpid();
  auto draft = BULKHEAD_TRY(os::Draft::make(memory.path, title_of(name)));
  memory.file = std::move(draft.file);
  memory.aside = std::move(draft.aside);
  memory.size = name.offset + size;
  if (is_posix(name)) BULKHEAD_TRY(check_memory_limits(size));
  BULKHEAD_TRY(reserve(memory.file, memory.size, title_of(name)));
  if (!is_posix(name)) return memory;
  if (!lock(memory.file, LOCK_SH)) return os::failed("lock", title_of(name));
  if (ends == Ends::with_users)
    memory.record = BULKHEAD_TRY(record_of(thing_of(name, memory.file)));
  return memory;
}

Result<void> give_name(PathMemory& memory, const MemoryName& name) {
  return os::name_draft(memory.file, memory.aside, memory.path, title_of(name));
}

Result<PathMemory> open_path_memory(const MemoryName& name) {
  const std::string path = BULKHEAD_TRY(path_of(name));
  const int flags = O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (is_posix(name) ? O_NOFOLLOW : 0);
  for (int looks = 0; looks < patience; ++looks) {
    PathMemory memory;
    memory.path = path;
    memory.owner = ::getpid();
    memory.file = Fd::adopt(::open(path.c_str(), flags));
    if (!memory.file) return os::failed("open", title_of(name));
    BULKHEAD_TRY(check_found(memory.file, name, memory.size));
    const bool used = !is_posix(name) || BULKHEAD_TRY(begin_use(memory, name));
    if (!used) {
      BULKHEAD_TRY(os::poll({}, std::chrono::milliseconds{1}));
      continue;
    }
    BULKHEAD_TRY(reserve(memory.file, memory.size, title_of(name)));
    return memory;
  }
  return cannot(ErrorKind::exists, "open", name, "a process that removes it does not go on",
                "stop that process");
}

void leave(PathMemory& memory) noexcept {
  if (!memory.record || memory.owner != ::getpid()) return;
  try {
    // Whoever else uses it holds the lock too, and has a record of its own.
    if (lock(memory.file, LOCK_EX) &&
        os::identity_in(memory.file, "") == os::identity_in(FdView{AT_FDCWD}, memory.path)) {
      ::unlink(memory.path.c_str());
    }
    memory.record->release();
  } catch (const std::bad_alloc&) {  // the record stays, for `bulkhead clean`
    memory.record->leave();
  }
}

Result<void> remove_path(const MemoryName& name) {
  const std::string path = BULKHEAD_TRY(path_of(name));
  if (::unlink(path.c_str()) == 0) return {};
  return os::failed("remove", title_of(name));
}

}  // namespace bulkhead::memory

// SPDX-License-Identifier: Apache-2.0
#include "os/named_thing.hpp"

#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <mqueue.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/draft.hpp"
#include "os/names.hpp"
#include "os/semaphore_set.hpp"
#include "os/syscall.hpp"

namespace bulkhead::os {
namespace {

using Verdict = NamedThing::Verdict;
using Do = NamedThing::Do;

/// Nobody listens at this socket. Only for names that no live process of ours has locked.
bool is_deserted_socket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.data(), path.size());
  bool refused = false;
  for (const int type : {SOCK_SEQPACKET, SOCK_STREAM}) {
    const Fd probe = Fd::adopt(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe) return false;
    const int outcome = retry_eintr([&] {
      return ::connect(probe.native(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    });
    // One of a dying process, bound and not yet listening, says of the other type EPROTOTYPE.
    if (outcome == 0 || (errno != ECONNREFUSED && errno != EPROTOTYPE)) return false;
    refused = refused || errno == ECONNREFUSED;
  }
  return refused;
}

/// Nobody reads from this FIFO.
bool is_deserted_fifo(FdView folder, const char* name) {
  const Fd probe =
      Fd::adopt(::openat(folder.native(), name, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW));
  return !probe && errno == ENXIO;
}

Result<Verdict> gone_or_failed(const std::string& operation, const std::string& name) {
  if (errno == ENOENT || errno == ENOTDIR) return Verdict::gone;
  return failed(operation, name);
}

mode_t kind_of(Named kind) {
  if (kind == Named::draft) return S_IFREG;
  return kind == Named::socket ? S_IFSOCK : S_IFIFO;
}

bool is_deserted(const NamedThing& thing, FdView folder, const std::string& name) {
  // A draft's name is random, and nobody uses the file by it.
  if (thing.kind == Named::draft) return is_name_of_draft(name);
  return thing.kind == Named::fifo ? is_deserted_fifo(folder, name.c_str())
                                   : is_deserted_socket(thing.name);
}

/// A path in two: the folder held open, and the name in it.
Result<Verdict> take_path(const NamedThing& thing, Do what) {
  const auto slash = thing.name.rfind('/');
  if (slash == std::string::npos) return Verdict::other;
  const std::string parent = thing.name.substr(0, std::max<std::size_t>(slash, 1));
  const std::string name = thing.name.substr(slash + 1);
  const Fd folder = Fd::adopt(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return gone_or_failed("open folder", parent);
  struct stat found{};
  if (::fstatat(folder.native(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
    return gone_or_failed("look at", thing.name);
  }
  const mode_t kind = kind_of(thing.kind);
  if ((found.st_mode & S_IFMT) != kind || found.st_uid != ::geteuid()) return Verdict::other;
  // Our own is known by its birth, and is not asked whether somebody listens: a process that dies
  // gives up its locks a moment before its sockets. One that its owner had no time to tell about must look unused.
  if (!thing.made.empty()) {
    if (thing.made != identity_in(folder, name)) return Verdict::other;
  } else if (!is_deserted(thing, folder, name)) {
    return Verdict::other;
  }
  if (what == Do::look || ::unlinkat(folder.native(), name.c_str(), 0) == 0) {
    return Verdict::removed;
  }
  return gone_or_failed("remove", thing.name);
}

Result<Verdict> take_queue(const NamedThing& thing, Do what) {
  const Fd queue = Fd::adopt(::mq_open(thing.name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!queue) return gone_or_failed("open queue", thing.name);
  struct stat found{};
  if (::fstat(queue.native(), &found) != 0) return failed("look at queue", thing.name);
  if (found.st_uid != ::geteuid()) return Verdict::other;
  if (!thing.made.empty() && thing.made != identity_in(queue, "")) return Verdict::other;
  if (what == Do::look || ::mq_unlink(thing.name.c_str()) == 0) return Verdict::removed;
  return gone_or_failed("remove queue", thing.name);
}

Result<Verdict> take_key(const NamedThing& thing, Do what) {
  key_t key = 0;
  const char* const end = thing.name.data() + thing.name.size();
  if (std::from_chars(thing.name.data(), end, key).ptr != end || key == IPC_PRIVATE) {
    return Verdict::other;
  }
  const int id = ::msgget(key, 0);
  msqid_ds state{};
  if (id < 0 || ::msgctl(id, IPC_STAT, &state) != 0) {
    return gone_or_failed("look at queue", thing.name);
  }
  if (state.msg_perm.cuid != ::geteuid()) return Verdict::other;
  const bool ours = thing.made.empty() ? state.msg_qnum == 0 && state.msg_lspid == 0
                                       : thing.made == identity_of_id(id);
  if (!ours) return Verdict::other;
  if (what == Do::look || ::msgctl(id, IPC_RMID, nullptr) == 0) return Verdict::removed;
  if (errno == EIDRM || errno == EINVAL) return Verdict::gone;
  return failed("remove queue", thing.name);
}

/// Whoever uses it through this library holds a lock on the file (memory/posix_memory.hpp).
Result<Verdict> take_memory(const NamedThing& thing, Do what) {
  const std::string path = path_of_memory(thing.name);
  const Fd file = Fd::adopt(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return gone_or_failed("open memory", thing.name);
  struct stat found{};
  if (::fstat(file.native(), &found) != 0) return failed("look at memory", thing.name);
  if (!S_ISREG(found.st_mode) || found.st_uid != ::geteuid()) return Verdict::other;
  if (thing.made != identity_in(file, "")) return Verdict::gone;  // made anew since
  if (retry_eintr([&] { return ::flock(file.native(), LOCK_EX | LOCK_NB); }) != 0) {
    return Verdict::in_use;
  }
  if (thing.made != identity_of(thing.kind, thing.name)) return Verdict::gone;
  if (what == Do::look || ::unlink(path.c_str()) == 0) return Verdict::removed;
  return gone_or_failed("remove memory", thing.name);
}

Result<Verdict> take_segment(const NamedThing& thing, Do what) {
  key_t key = 0;
  const char* const end = thing.name.data() + thing.name.size();
  if (std::from_chars(thing.name.data(), end, key).ptr != end || key == IPC_PRIVATE) {
    return Verdict::other;
  }
  // Whoever attaches or removes one does so under this lock.
  const auto lock = lock_segments();
  if (!lock) return fail(lock.error());
  const int id = ::shmget(key, 0, 0);
  shmid_ds state{};
  if (id < 0 || ::shmctl(id, IPC_STAT, &state) != 0) {
    return gone_or_failed("look at memory", thing.name);
  }
  // One that its owner had no time to tell about was never attached.
  const bool ours = thing.made.empty() ? state.shm_lpid == 0 : thing.made == identity_of_id(id);
  if (state.shm_perm.cuid != ::geteuid()) return Verdict::other;
  if (!ours) return Verdict::gone;  // made anew since
  if (state.shm_nattch != 0) return Verdict::in_use;
  if (what == Do::look || ::shmctl(id, IPC_RMID, nullptr) == 0) return Verdict::removed;
  if (errno == EIDRM || errno == EINVAL) return Verdict::gone;
  return failed("remove memory", thing.name);
}

Result<Verdict> take_semaphore(const NamedThing& thing, Do what) {
  key_t key = 0;
  const char* const end = thing.name.data() + thing.name.size();
  if (std::from_chars(thing.name.data(), end, key).ptr != end || key == IPC_PRIVATE) {
    return Verdict::other;
  }
  const int set = ::semget(key, 0, 0);
  semid_ds state{};
  union {
    semid_ds* state;
  } argument{.state = &state};
  if (set < 0) return gone_or_failed("look at semaphore", thing.name);
  if (::semctl(set, 0, IPC_STAT, argument) != 0) {
    return errno == EACCES ? Verdict::other : Verdict::gone;
  }
  if (state.sem_perm.cuid != ::geteuid() || semaphore_set::has_other_form(set)) {
    return Verdict::other;
  }
  const bool told = !thing.made.empty();
  if (told && thing.made != identity_of_id(set)) return Verdict::gone;  // made anew since
  // Who uses it has a record of its own, and nobody by this one's fork does: its lock is free.
  if (semaphore_set::value_of(set, semaphore_set::users_part) > 0) return Verdict::gone;
  if (!told && !semaphore_set::looks_unused(set)) return Verdict::other;
  if (what == Do::look || semaphore_set::remove_unused(set)) return Verdict::removed;
  if (errno == EAGAIN || errno == EIDRM || errno == EINVAL) return Verdict::gone;
  return failed("remove semaphore", thing.name);
}

}  // namespace

Result<Verdict> NamedThing::take_away(Do what) const {
  switch (kind) {
    case Named::queue:
      return take_queue(*this, what);
    case Named::key:
      return take_key(*this, what);
    case Named::memory:
      return take_memory(*this, what);
    case Named::segment:
      return take_segment(*this, what);
    case Named::semaphore:
      return take_semaphore(*this, what);
    case Named::socket:
    case Named::fifo:
    case Named::draft:
      break;
  }
  return take_path(*this, what);
}

}  // namespace bulkhead::os

// SPDX-License-Identifier: Apache-2.0
//
// A record (name_record.hpp) whose lock is free is of a dead process. Its names are removed under
// the lock that a live process would need to make them (names.hpp), so none can be made meanwhile;
// then the lock file, and the record last: whoever is killed on the way leaves the record.
#include <algorithm>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bulkhead/names.hpp>

#include "memory/diagnosing/boards.hpp"
#include "os/names.hpp"
#include "os/recorded_names.hpp"
#include "os/syscall.hpp"
#include "transport/mechanism.hpp"

namespace bulkhead {
namespace {

using namespace os;
using State = OwnedName::State;
using Do = NamedThing::Do;
using Names = std::vector<OwnedName>;

std::vector<std::string> files_in(const std::string& folder, std::string_view ending) {
  std::vector<std::string> found;
  DIR* const open = ::opendir(folder.c_str());
  if (open == nullptr) return found;
  while (const dirent* entry = ::readdir(open)) {
    if (std::string_view{entry->d_name}.ends_with(ending)) {
      found.push_back(folder + "/" + entry->d_name);
    }
  }
  ::closedir(open);
  std::sort(found.begin(), found.end());
  return found;
}

OwnedName about(const RecordedNames& record, const NamedThing& thing, State state,
                std::string why = {}) {
  return {record.mechanism, thing.name, record.owner, state, std::move(why)};
}

using LeftByClients = std::vector<NamedThing>;

/// What clients left at this listener's names that died before it took them in.
LeftByClients left_by_clients(const RecordedNames& record, Do what, bool listener_lives) {
  LeftByClients all;
  for (const auto* entry : transport::mechanisms) {
    if (entry->left_by_clients == nullptr || to_string(entry->mechanism) != record.mechanism)
      continue;
    for (const NamedThing& thing : record.things) {
      auto left = entry->left_by_clients(thing.name, what, listener_lives);
      std::move(left.begin(), left.end(), std::back_inserter(all));
    }
  }
  return all;
}

/// They have no record of their own, and who made them is not known.
void take_away(const RecordedNames& record, const LeftByClients& left, Do what, Names& told) {
  for (const NamedThing& thing : left) {
    const auto verdict = thing.take_away(what);
    if (!verdict || *verdict != NamedThing::Verdict::removed) continue;  // somebody else does it
    const State state = what == Do::look ? State::stale : State::removed;
    told.push_back({record.mechanism, thing.name, 0, state, {}});
  }
}

/// The names of a live process. Not those that it has not made yet.
void tell_live(const RecordedNames& record, Names& told) {
  for (const NamedThing& thing : record.things) {
    if (!identity_of(thing.kind, thing.name).empty()) {
      told.push_back(about(record, thing, State::live));
    }
  }
}

/// Nothing is left to do for this record.
bool take_things_away(const RecordedNames& record, Do what, Names& told) {
  bool done = true;
  const auto left = left_by_clients(record, what, false);
  for (const NamedThing& thing : record.things) {
    const auto verdict = thing.take_away(what);
    if (!verdict) {
      done = false;
      told.push_back(about(record, thing, State::kept, verdict.error().sentence()));
    } else if (*verdict == NamedThing::Verdict::in_use) {
      done = false;  // its other users may be killed too, and have no record: children by fork
    } else if (*verdict == NamedThing::Verdict::removed) {
      told.push_back(about(record, thing, what == Do::look ? State::stale : State::removed));
    } else if (*verdict == NamedThing::Verdict::other && what == Do::remove) {
      told.push_back(about(record, thing, State::kept, "something else has that name now"));
    }
  }
  take_away(record, left, what, told);
  return done;
}

bool folder_of_is_gone(const std::string& path) {
  const auto slash = path.rfind('/');
  struct stat found{};
  return slash != std::string::npos && slash > 0 &&
         ::stat(path.substr(0, slash).c_str(), &found) != 0 &&
         (errno == ENOENT || errno == ENOTDIR);
}

bool clean_dead(const RecordedNames& record, Names& told) {
  if (record.lock.empty() || record.things.empty())
    return take_things_away(record, Do::remove, told);
  if (folder_of_is_gone(record.lock)) return true;
  const auto lock = NameLock::take_to_clean(record.lock);
  if (lock) return take_things_away(record, Do::remove, told);
  if (lock.error() == ErrorKind::exists) {
    // A live process took the name over; of the dead one's others, nobody.
    RecordedNames rest = record;
    if (!rest.things.empty()) rest.things.erase(rest.things.begin());
    return take_things_away(rest, Do::remove, told);
  }
  for (const NamedThing& thing : record.things) {
    told.push_back(about(record, thing, State::kept, lock.error().sentence()));
  }
  return false;
}

void visit_record(const std::string& path, Do what, Names& told) {
  const Fd file =
      Fd::adopt(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  struct stat held{};
  struct stat named{};
  if (!file || ::fstat(file.native(), &held) != 0 || !S_ISREG(held.st_mode)) return;
  if (retry_eintr([&] { return ::flock(file.native(), LOCK_EX | LOCK_NB); }) != 0) {
    const RecordedNames record = read_names(file);
    if (what == Do::look) tell_live(record, told);
    take_away(record, left_by_clients(record, what, true), what, told);
    return;
  }
  const bool still_there = ::lstat(path.c_str(), &named) == 0 && named.st_ino == held.st_ino;
  if (!still_there) return;  // its owner dropped it, or another cleaner did
  const RecordedNames record = read_names(file);
  if (what == Do::look) {
    static_cast<void>(take_things_away(record, Do::look, told));
  } else if (clean_dead(record, told)) {
    ::unlink(path.c_str());
  }
}

/// A lock file in the runtime directory of which there is no record: of an older version, say. By
/// itself it is nothing; taking it and giving it back removes it, unless somebody lives there.
void visit_lock(const std::string& path, Do what, Names& told) {
  OwnedName name;
  name.mechanism = "lock";
  name.name = path;
  if (what == Do::remove) {
    if (!NameLock::take_to_clean(path)) return;
    name.state = State::removed;
  } else {
    name.owner = NameLock::owner_written_in(path);
    if (name.owner != 0 && (::kill(name.owner, 0) == 0 || errno != ESRCH)) return;
    name.state = State::stale;
  }
  told.push_back(std::move(name));
}

/// What processes that diagnose their locks leave when they are killed.
void visit_boards(const std::string& folder, Do what, Names& told) {
  using namespace memory::diagnosing;
  const auto boards = see_boards(folder);
  const auto removed = what == Do::remove ? remove_dead_boards(folder) : std::vector<std::string>{};
  for (const SeenBoard& board : boards) {
    OwnedName name;
    name.mechanism = "locks";
    name.name = board.path;
    name.owner = board.whole ? static_cast<pid_t>(board.header.process) : 0;
    name.state = board.lives ? State::live : State::stale;
    if (what == Do::remove && !board.lives) {
      const bool gone = std::find(removed.begin(), removed.end(), board.path) != removed.end();
      name.state = gone ? State::removed : State::kept;
      if (!gone) name.why = "a fork of its process has it yet";
    }
    if (what == Do::look || !board.lives) told.push_back(std::move(name));
  }
}

Result<Names> visit_all(Do what) {
  Names told;
  const std::string folder = BULKHEAD_TRY(runtime_directory());
  for (const auto& path : files_in(folder + "/names", ".name")) visit_record(path, what, told);
  for (const auto& path : files_in(folder, ".lock")) visit_lock(path, what, told);
  visit_boards(folder + memory::diagnosing::board_folder, what, told);
  return told;
}

}  // namespace

std::string_view to_string(OwnedName::State state) noexcept {
  switch (state) {
    case State::live:
      return "live";
    case State::stale:
      return "stale";
    case State::removed:
      return "removed";
    case State::kept:
      break;
  }
  return "kept";
}

Result<Names> list_names() { return visit_all(Do::look); }
Result<Names> remove_stale_names() { return visit_all(Do::remove); }

}  // namespace bulkhead

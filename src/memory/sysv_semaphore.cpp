// SPDX-License-Identifier: Apache-2.0
//
// LAYOUT of a set: three semaphores
//   0  count   what is counted
//   1  ready   1: the count means something
//   2  users   processes that have it open: raised with SEM_UNDO, so the kernel lowers it at a death
// STATE of a set; each arrow is one semop(2), which the kernel does whole or not at all
//   not ready, no users  --make: ready, count, a user-->     ready, used
//   ready, used          --open: one more user-->            ready, used
//   ready, used          --the last one closes or dies-->    ready, no users (stale)
//   ready, no users      --remove: not ready, a user-->      not ready, used by who removes it: IPC_RMID
// Who finds it not ready and used waits, in the kernel, for that one to be done or dead. A maker that
// dies has made nothing or all, one that removes and dies leaves what the next one makes anew.
#include <array>
#include <cerrno>
#include <ctime>
#include <span>
#include <string>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <unistd.h>
#include <utility>

#include <bulkhead/sysv_semaphore.hpp>

#include "os/syscall.hpp"

namespace bulkhead {
namespace {

enum Part : unsigned short { count_part = 0, ready_part = 1, users_part = 2, parts = 3 };
using Steps = std::span<sembuf>;

constexpr sembuf when_zero(Part part) {
  return {.sem_num = part, .sem_op = 0, .sem_flg = IPC_NOWAIT};
}
constexpr sembuf add(Part part, short by, short flags = IPC_NOWAIT) {
  return {.sem_num = part, .sem_op = by, .sem_flg = flags};
}
constexpr sembuf one_user = add(users_part, 1, IPC_NOWAIT | SEM_UNDO);

/// All of the steps, at once. EAGAIN when they cannot be done now, EIDRM or EINVAL without a set.
bool step(int set, Steps steps) {
  return os::retry_eintr([&] { return ::semop(set, steps.data(), steps.size()); }) == 0;
}

bool make_ready(int set, unsigned count) {
  std::array<sembuf, 5> steps{when_zero(ready_part), when_zero(users_part), add(ready_part, 1),
                              one_user, add(count_part, static_cast<short>(count))};
  return step(set, std::span{steps}.first(count == 0 ? 4 : 5));
}

/// With `users` of one at least: a set that only the dead used is not there.
bool become_user(int set) {
  std::array steps{add(ready_part, -1), add(ready_part, 1), add(users_part, -1), add(users_part, 1),
                   one_user};
  return step(set, steps);
}

/// Removes it when nobody uses it.
void remove_unused(int set) {
  std::array steps{when_zero(users_part), add(ready_part, -1), one_user};
  if (step(set, steps)) ::semctl(set, 0, IPC_RMID);
}

/// Until the one who removes it has done so, or is dead.
void until_unused(int set) {
  std::array steps{sembuf{.sem_num = users_part, .sem_op = 0, .sem_flg = 0}};
  step(set, steps);
}

int value_of(int set, Part part) { return ::semctl(set, part, GETVAL); }

std::string label(key_t key) { return "System V semaphore " + std::to_string(key); }

std::unexpected<Error> no_such(key_t key) {
  return fail(ErrorKind::not_found, {.operation = "open",
                                     .object = label(key),
                                     .cause = "no process has it open",
                                     .remedy = "make it first"});
}

/// The set of that key, made when `flags` say so.
Result<int> find(const char* operation, key_t key, int flags) {
  const int set = ::semget(key, parts, flags);
  if (set >= 0) return set;
  if (errno == ENOENT) return no_such(key);
  if (errno == EINVAL) {
    return fail(ErrorKind::incompatible, {.operation = operation,
                                          .object = label(key),
                                          .cause = "another program has a set of that key",
                                          .remedy = "choose another key, or attach to it"});
  }
  return os::failed(operation, label(key), "ipcs -s shows what is there");
}

}  // namespace

SysvSemaphore::SysvSemaphore(key_t key, int set, unsigned short number, Undo undo) noexcept
    : key_(key), set_(set), number_(number), undo_(undo) {}

Result<SysvSemaphore> SysvSemaphore::create(key_t key, unsigned count, Undo undo) {
  if (count > most) {
    return fail(ErrorKind::too_large,
                {.operation = "make", .object = label(key), .cause = "it counts to 32767"});
  }
  for (;;) {
    const int set = BULKHEAD_TRY(find("make", key, IPC_CREAT | 0600));
    if (make_ready(set, count)) {
      SysvSemaphore made{key, set, count_part, undo};
      made.user_ = ::getpid();
      return made;
    }
    if (errno == EIDRM || errno == EINVAL) continue;
    if (errno != EAGAIN) return os::failed("make", label(key));
    const int ready = value_of(set, ready_part);
    const int users = value_of(set, users_part);
    if (ready == 0) {
      until_unused(set);
    } else if (users == 0) {
      remove_unused(set);
    } else if (ready > 0 && users > 0) {  // else it was removed meanwhile
      return fail(ErrorKind::exists, {.operation = "make",
                                      .object = label(key),
                                      .cause = "a process has it open",
                                      .remedy = "open it, or choose another key"});
    }
  }
}

Result<SysvSemaphore> SysvSemaphore::open(key_t key, Undo undo) {
  const int set = BULKHEAD_TRY(find("open", key, 0));
  if (!become_user(set)) {
    if (errno == EAGAIN || errno == EIDRM || errno == EINVAL) return no_such(key);
    return os::failed("open", label(key));
  }
  SysvSemaphore opened{key, set, count_part, undo};
  opened.user_ = ::getpid();
  return opened;
}

Result<SysvSemaphore> SysvSemaphore::open_or_create(key_t key, unsigned count, Undo undo) {
  for (;;) {
    auto opened = open(key, undo);
    if (opened || opened.error() != ErrorKind::not_found) return opened;
    auto made = create(key, count, undo);
    if (made || made.error() != ErrorKind::exists) return made;
  }
}

Result<SysvSemaphore> SysvSemaphore::attach(key_t key, unsigned short number, Undo undo) {
  const int set = ::semget(key, number + 1, 0);
  if (set < 0) return os::failed("attach", label(key), "ipcs -s shows what is there");
  return SysvSemaphore{key, set, number, undo};
}

SysvSemaphore::SysvSemaphore(SysvSemaphore&& other) noexcept
    : key_(other.key_),
      set_(std::exchange(other.set_, -1)),
      number_(other.number_),
      undo_(other.undo_),
      user_(other.user_) {}

SysvSemaphore& SysvSemaphore::operator=(SysvSemaphore&& other) noexcept {
  if (this == &other) return *this;
  close();
  key_ = other.key_;
  set_ = std::exchange(other.set_, -1);
  number_ = other.number_;
  undo_ = other.undo_;
  user_ = other.user_;
  return *this;
}

void SysvSemaphore::close() noexcept {
  const int set = std::exchange(set_, -1);
  if (set < 0 || user_ != ::getpid()) return;
  std::array steps{add(users_part, -1, IPC_NOWAIT | SEM_UNDO)};
  if (step(set, steps)) remove_unused(set);
}

Result<void> SysvSemaphore::post() { return change(1, never); }

Result<void> SysvSemaphore::wait(Deadline deadline) { return change(-1, deadline); }

Result<void> SysvSemaphore::try_wait() {
  auto taken = change(-1, Deadline{Deadline::Clock::time_point::min()});
  if (!taken && taken.error() == ErrorKind::timed_out) return fail(ErrorKind::empty);
  return taken;
}

Result<void> SysvSemaphore::change(short by, Deadline deadline) {
  const short flags = undo_ == Undo::at_death ? SEM_UNDO : 0;
  for (;;) {
    sembuf one{.sem_num = number_, .sem_op = by, .sem_flg = flags};
    const auto left = deadline.is_never() ? std::chrono::nanoseconds{0} : deadline.remaining();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    const timespec time{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
    if (!deadline.is_never() && left.count() == 0) one.sem_flg |= IPC_NOWAIT;
    if (::semtimedop(set_, &one, 1, deadline.is_never() ? nullptr : &time) == 0) return {};
    if (errno == EINTR) continue;
    return fail(failed(by > 0 ? "post" : "wait"));
  }
}

Error SysvSemaphore::failed(const char* operation) const {
  switch (errno) {
    case EAGAIN:
      return Error{ErrorKind::timed_out, {.operation = operation, .object = label(key_)}};
    case EIDRM:
    case EINVAL:
      return Error{ErrorKind::closed,
                   {.operation = operation,
                    .object = label(key_),
                    .cause = "somebody has removed it",
                    .remedy = "make it anew"}};
    case ERANGE:
      return Error{ErrorKind::exhausted,
                   {.operation = operation,
                    .object = label(key_),
                    .cause = "it would count beyond 32767",
                    .remedy = "take as often as you post"}};
    default:
      return Error::from_errno(errno, {.operation = operation, .object = label(key_)});
  }
}

Result<unsigned> SysvSemaphore::value() const {
  const int value = ::semctl(set_, number_, GETVAL);
  if (value < 0) return fail(failed("look at"));
  return static_cast<unsigned>(value);
}

}  // namespace bulkhead

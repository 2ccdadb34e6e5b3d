// SPDX-License-Identifier: Apache-2.0
//
// What the kernel keeps, and every step of it, is in os/semaphore_set.hpp. Each user has a record of
// the key (os/name_record.hpp), from before it touches the set until it has ended its use.
#include <cerrno>
#include <chrono>
#include <ctime>
#include <string>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <unistd.h>
#include <utility>

#include <bulkhead/sysv_semaphore.hpp>

#include "os/name_record.hpp"
#include "os/semaphore_set.hpp"
#include "os/syscall.hpp"

namespace bulkhead {
namespace {

namespace set_of = os::semaphore_set;

/// How long one who removes a set may take for it, stopped in the middle say.
constexpr auto patience = std::chrono::seconds{2};

std::string label(key_t key) { return "System V semaphore " + std::to_string(key); }

std::unexpected<Error> no_such(key_t key) {
  return fail(ErrorKind::not_found, {.operation = "open",
                                     .object = label(key),
                                     .cause = "no process has it open",
                                     .remedy = "make it first"});
}

std::unexpected<Error> no_key(key_t key) {
  return fail(ErrorKind::invalid, {.operation = "use",
                                   .object = label(key),
                                   .cause = "key 0 is that of no set in particular",
                                   .remedy = "choose another key, or a Semaphore"});
}

std::unexpected<Error> of_another_program(const char* operation, key_t key) {
  return fail(ErrorKind::incompatible, {.operation = operation,
                                        .object = label(key),
                                        .cause = "another program has a set of that key",
                                        .remedy = "choose another key, or attach to it"});
}

std::unexpected<Error> in_use(key_t key, const char* cause) {
  return fail(ErrorKind::exists, {.operation = "make",
                                  .object = label(key),
                                  .cause = cause,
                                  .remedy = "open it, or choose another key"});
}

/// The set of that key, made when `flags` say so.
Result<int> find(const char* operation, key_t key, int flags) {
  const int set = ::semget(key, set_of::parts, flags);
  if (set < 0 && errno == ENOENT) return no_such(key);
  if (set < 0 && errno != EINVAL) {
    return os::failed(operation, label(key), "ipcs -s shows what is there");
  }
  if (set < 0 || set_of::has_other_form(set)) return of_another_program(operation, key);
  return set;
}

/// So that it is known whose it was when this process is killed.
Result<std::unique_ptr<os::NameRecord>> record_of(key_t key) {
  auto record = BULKHEAD_TRY(os::NameRecord::create("system_v_semaphore"));
  BULKHEAD_TRY(record.add(os::Named::semaphore, std::to_string(key)));
  return std::make_unique<os::NameRecord>(std::move(record));
}

}  // namespace

SysvSemaphore::SysvSemaphore(key_t key, int set, unsigned short number, Undo undo) noexcept
    : key_(key), set_(set), number_(number), undo_(undo) {}

SysvSemaphore SysvSemaphore::used(key_t key, int set, Undo undo,
                                  std::unique_ptr<os::NameRecord> record) noexcept {
  SysvSemaphore semaphore{key, set, set_of::count_part, undo};
  semaphore.user_ = ::getpid();
  record->made();
  semaphore.record_ = std::move(record);
  return semaphore;
}

Result<SysvSemaphore> SysvSemaphore::create(key_t key, unsigned count, Undo undo) {
  if (count > most) {
    return fail(ErrorKind::too_large,
                {.operation = "make", .object = label(key), .cause = "it counts to 32767"});
  }
  if (key == IPC_PRIVATE) return no_key(key);
  auto record = BULKHEAD_TRY(record_of(key));
  for (;;) {
    const int set = BULKHEAD_TRY(find("make", key, IPC_CREAT | 0600));
    if (set_of::make_ready(set, count)) return used(key, set, undo, std::move(record));
    if (errno == EIDRM || errno == EINVAL) continue;
    if (errno != EAGAIN) return os::failed("make", label(key));
    const int ready = set_of::value_of(set, set_of::ready_part);
    const int users = set_of::value_of(set, set_of::users_part);
    if (ready < 0 || users < 0) continue;  // it was removed meanwhile
    if (ready == 0) {
      if (!set_of::until_unused(set, patience) && errno == EAGAIN) {
        return in_use(key, "a process that removes it does not go on");
      }
    } else if (ready != set_of::ready_mark) {
      return of_another_program("make", key);
    } else if (users == 0) {
      set_of::remove_unused(set);
    } else {
      return in_use(key, "a process has it open");
    }
  }
}

Result<SysvSemaphore> SysvSemaphore::open(key_t key, Undo undo) {
  if (key == IPC_PRIVATE) return no_key(key);
  const int set = BULKHEAD_TRY(find("open", key, 0));
  auto record = BULKHEAD_TRY(record_of(key));
  if (set_of::become_user(set)) return used(key, set, undo, std::move(record));
  if (errno == EAGAIN || errno == EIDRM || errno == EINVAL) return no_such(key);
  return os::failed("open", label(key));
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
      user_(other.user_),
      record_(std::move(other.record_)) {}

SysvSemaphore& SysvSemaphore::operator=(SysvSemaphore&& other) noexcept {
  if (this == &other) return *this;
  close();
  key_ = other.key_;
  set_ = std::exchange(other.set_, -1);
  number_ = other.number_;
  undo_ = other.undo_;
  user_ = other.user_;
  record_ = std::move(other.record_);
  return *this;
}

SysvSemaphore::~SysvSemaphore() { close(); }

void SysvSemaphore::close() noexcept {
  const int set = std::exchange(set_, -1);
  if (set >= 0 && user_ == ::getpid()) set_of::end_use(set);
  record_.reset();
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

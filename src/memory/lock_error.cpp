// SPDX-License-Identifier: Apache-2.0
#include "memory/lock_error.hpp"

#include <cstring>
#include <fcntl.h>
#include <string>
#include <unistd.h>

#include <bulkhead/fd.hpp>

namespace bulkhead::memory {
namespace {

/// "thread 4711 (renderer)"
std::string thread_named(std::uint32_t id) {
  if (id == 0) return "another thread, just now";
  std::string text = "thread " + std::to_string(id);
  const std::string path = "/proc/" + std::to_string(id) + "/comm";
  const Fd file = Fd::adopt(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char name[32];
  const auto size = file ? ::read(file.native(), name, sizeof name) : 0;
  if (size > 1) text += " (" + std::string(name, static_cast<std::size_t>(size) - 1) + ")";
  return text;
}

struct Words {
  ErrorKind kind;
  std::string cause;
  const char* remedy;
};

Words words(LockOutcome outcome, const RobustLock& lock) {
  switch (outcome) {
    case LockOutcome::busy:
      return {ErrorKind::full, thread_named(owner(lock)) + " has it", "try again"};
    case LockOutcome::timed_out:
      return {ErrorKind::timed_out, thread_named(owner(lock)) + " has it", "try again"};
    case LockOutcome::own:
      return {ErrorKind::deadlock, "this thread has it already",
              "unlock it first, or make it with Relock::allowed"};
    case LockOutcome::deadlock:
      return {ErrorKind::deadlock,
              thread_named(owner(lock)) + " has it and waits for what this thread has",
              "lock in the same order everywhere; diagnosing names the circle"};
    case LockOutcome::poisoned:
      return {ErrorKind::poisoned,
              "an owner died, and the next did not say that it repaired the data",
              "make the memory anew"};
    case LockOutcome::exhausted:
      return {ErrorKind::exhausted, "no memory in the kernel for a waiter", "try again"};
    case LockOutcome::broken:
      return {ErrorKind::corrupt, "no thread here is " + std::to_string(owner(lock)),
              "something wrote over the lock, or its owner is in another PID namespace"};
    case LockOutcome::unsupported:
      return {ErrorKind::unsupported, "no robust, priority-inheriting futexes here",
              "Linux 5.14 or later with glibc on a 64-bit machine has them"};
    case LockOutcome::locked:
      break;
  }
  return {ErrorKind::invalid, {}, ""};
}

}  // namespace

detail::LockName name_of(const Place& place, const void* at, const char* text) noexcept {
  detail::LockName name{.region = place.region(), .offset = place.offset_of(at)};
  std::strncpy(name.text, text, sizeof name.text - 1);
  return name;
}

Error lock_error(LockOutcome outcome, const detail::LockName& name, const RobustLock& lock) {
  auto [kind, cause, remedy] = words(outcome, lock);
  return Error{
      kind,
      {.operation = "lock", .object = name.text, .cause = std::move(cause), .remedy = remedy}};
}

}  // namespace bulkhead::memory

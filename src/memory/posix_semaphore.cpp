// SPDX-License-Identifier: Apache-2.0
//
// A named semaphore of the C library is a file of one sem_t, shared between processes. It is made
// here as POSIX memory is (path_memory.hpp): complete before it has its name, and ending with its
// users; sem_open(3) of other programs finds it all the same.
#include <cerrno>
#include <ctime>
#include <semaphore.h>
#include <sys/mman.h>
#include <utility>

#include <bulkhead/posix_semaphore.hpp>

#include "memory/path_memory.hpp"
#include "os/syscall.hpp"

namespace bulkhead {
namespace {

MemoryName file_of(const std::string& name) { return posix_memory("sem." + name); }
std::string label(const std::string& name) { return "POSIX semaphore " + name; }

timespec point_of(Deadline deadline) noexcept {
  const auto since = deadline.at().time_since_epoch();
  if (since.count() <= 0) return {};
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since);
  return {.tv_sec = seconds.count(), .tv_nsec = static_cast<long>((since - seconds).count())};
}

}  // namespace

struct PosixSemaphore::Held {
  std::string name;
  memory::PathMemory memory;
  sem_t* semaphore = nullptr;

  Held(std::string called, memory::PathMemory found)
      : name(std::move(called)), memory(std::move(found)) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() {
    if (semaphore != nullptr) ::munmap(semaphore, sizeof(sem_t));
    memory::leave(memory);
  }

  Result<void> map() {
    void* const at =
        ::mmap(nullptr, sizeof(sem_t), PROT_READ | PROT_WRITE, MAP_SHARED, memory.file.native(), 0);
    if (at == MAP_FAILED) return os::failed("map", label(name));
    semaphore = static_cast<sem_t*>(at);
    return {};
  }
};

PosixSemaphore::PosixSemaphore(std::unique_ptr<Held> held) noexcept : held_(std::move(held)) {}
PosixSemaphore::PosixSemaphore(PosixSemaphore&&) noexcept = default;
PosixSemaphore& PosixSemaphore::operator=(PosixSemaphore&&) noexcept = default;
PosixSemaphore::~PosixSemaphore() = default;

Result<PosixSemaphore> PosixSemaphore::create(const std::string& name, unsigned count) {
  if (count > most) {
    return fail(ErrorKind::too_large,
                {.operation = "make", .object = label(name), .cause = "it counts to 2147483647"});
  }
  auto memory = BULKHEAD_TRY(
      memory::make_path_memory(file_of(name), sizeof(sem_t), memory::Ends::with_users));
  auto held = std::make_unique<Held>(name, std::move(memory));
  BULKHEAD_TRY(held->map());
  if (::sem_init(held->semaphore, 1, count) != 0) return os::failed("make", label(name));
  BULKHEAD_TRY(memory::give_name(held->memory, file_of(name)));
  return PosixSemaphore{std::move(held)};
}

Result<PosixSemaphore> PosixSemaphore::open(const std::string& name) {
  auto held = std::make_unique<Held>(name, BULKHEAD_TRY(memory::open_path_memory(file_of(name))));
  if (held->memory.size != sizeof(sem_t)) {
    return fail(ErrorKind::incompatible, {.operation = "open",
                                          .object = label(name),
                                          .cause = "its file has not the size of a semaphore",
                                          .remedy = "choose another name"});
  }
  BULKHEAD_TRY(held->map());
  return PosixSemaphore{std::move(held)};
}

Result<PosixSemaphore> PosixSemaphore::open_or_create(const std::string& name, unsigned count) {
  for (;;) {
    auto opened = open(name);
    if (opened || opened.error() != ErrorKind::not_found) return opened;
    auto made = create(name, count);
    if (made || made.error() != ErrorKind::exists) return made;
  }
}

Result<void> PosixSemaphore::post() {
  if (::sem_post(held_->semaphore) == 0) return {};
  if (errno != EOVERFLOW) return os::failed("post", label(held_->name));
  return fail(ErrorKind::exhausted, {.operation = "post",
                                     .object = label(held_->name),
                                     .cause = "its count is at the maximum",
                                     .remedy = "take as often as you post"});
}

Result<void> PosixSemaphore::wait(Deadline deadline) {
  const timespec until = point_of(deadline);
  const int outcome = os::retry_eintr([&] {
    if (deadline.is_never()) return ::sem_wait(held_->semaphore);
    return ::sem_clockwait(held_->semaphore, CLOCK_MONOTONIC, &until);
  });
  if (outcome == 0) return {};
  return os::failed("wait", label(held_->name));
}

bool PosixSemaphore::try_wait() noexcept {
  return os::retry_eintr([&] { return ::sem_trywait(held_->semaphore); }) == 0;
}

unsigned PosixSemaphore::value() const noexcept {
  int value = 0;
  ::sem_getvalue(held_->semaphore, &value);
  return static_cast<unsigned>(value);
}

}  // namespace bulkhead

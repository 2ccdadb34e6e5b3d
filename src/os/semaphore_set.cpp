// SPDX-License-Identifier: Apache-2.0
#include "os/semaphore_set.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <span>
#include <sys/ipc.h>
#include <sys/sem.h>

#include "os/syscall.hpp"

namespace bulkhead::os::semaphore_set {
namespace {

using Steps = std::span<sembuf>;

constexpr sembuf when_zero(Part part) {
  return {.sem_num = part, .sem_op = 0, .sem_flg = IPC_NOWAIT};
}
constexpr sembuf add(Part part, int by, short flags = IPC_NOWAIT) {
  return {.sem_num = part, .sem_op = static_cast<short>(by), .sem_flg = flags};
}
constexpr sembuf one_user = add(users_part, 1, IPC_NOWAIT | SEM_UNDO);

/// All of the steps, at once.
bool step(int set, Steps steps) {
  return retry_eintr([&] { return ::semop(set, steps.data(), steps.size()); }) == 0;
}

semid_ds state_of(int set) {
  union {
    semid_ds* state;
  } argument{};
  semid_ds state{};
  argument.state = &state;
  if (::semctl(set, 0, IPC_STAT, argument) != 0) state = {};
  return state;
}

}  // namespace

bool make_ready(int set, unsigned count) {
  std::array<sembuf, 5> steps{when_zero(ready_part), when_zero(users_part),
                              add(ready_part, ready_mark), one_user,
                              add(count_part, static_cast<int>(count))};
  return step(set, std::span{steps}.first(count == 0 ? 4 : 5));
}

bool become_user(int set) {
  std::array steps{add(ready_part, -ready_mark), add(ready_part, ready_mark), add(users_part, -1),
                   add(users_part, 1), one_user};
  return step(set, steps);
}

void end_use(int set) {
  std::array steps{add(users_part, -1, IPC_NOWAIT | SEM_UNDO)};
  if (step(set, steps)) remove_unused(set);
}

bool remove_unused(int set) {
  std::array ready{when_zero(users_part), add(ready_part, -ready_mark), one_user};
  std::array not_ready{when_zero(users_part), when_zero(ready_part), one_user};
  if (!step(set, ready) && (errno != EAGAIN || !step(set, not_ready))) return false;
  return ::semctl(set, 0, IPC_RMID) == 0;
}

bool until_unused(int set, Deadline deadline) {
  for (;;) {
    sembuf unused{.sem_num = users_part, .sem_op = 0, .sem_flg = 0};
    const auto left = deadline.remaining();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    const timespec time{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
    if (::semtimedop(set, &unused, 1, &time) == 0) return true;
    if (errno != EINTR) return false;
  }
}

int value_of(int set, Part part) { return ::semctl(set, part, GETVAL); }

bool has_other_form(int set) {
  const auto count = state_of(set).sem_nsems;
  return count != 0 && count != parts;
}

bool looks_unused(int set) {
  const int ready = value_of(set, ready_part);
  if (value_of(set, users_part) != 0) return false;
  return ready == ready_mark || (ready == 0 && state_of(set).sem_otime == 0);
}

}  // namespace bulkhead::os::semaphore_set

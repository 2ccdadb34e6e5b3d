// SPDX-License-Identifier: Apache-2.0
//
// The set of System V semaphores, sysvipc(7), that is a SysvSemaphore: how it is made, used and
// removed, by its users and by who cleans up after dead ones. A set is its kernel's id.
//
// LAYOUT of a set: three semaphores
//   0  count   what is counted
//   1  ready   25192 ("bh"): the count means something
//   2  users   processes that have it open: raised with SEM_UNDO, so the kernel lowers it at a death
// STATE of a set; each arrow is one semop(2), which the kernel does whole or not at all
//   not ready, no users  --make_ready: ready, count, a user-->  ready, used
//   ready, used          --become_user: one more user-->        ready, used
//   ready, used          --the last one ends or dies-->         ready, no users (stale)
//   ready, no users      --remove_unused: not ready, a user-->  not ready, used by who removes it: IPC_RMID
//   not ready, no users  --remove_unused: a user-->             the same
// Who finds it not ready and used waits, in the kernel, for that one to be done or dead. A maker that
// dies has made nothing or all, one that removes and dies leaves what the next one makes anew.
#pragma once

#include <sys/types.h>

#include <bulkhead/deadline.hpp>

namespace bulkhead::os::semaphore_set {

enum Part : unsigned short { count_part = 0, ready_part = 1, users_part = 2, parts = 3 };

constexpr int ready_mark = 0x6268;

// All of these: false with errno EAGAIN when it cannot be done in this state, EIDRM or EINVAL when the
// set is gone.

bool make_ready(int set, unsigned count);
/// With `users` of one at least: a set that only the dead used is not there.
bool become_user(int set);
/// The opposite; then the set is removed unless somebody uses it.
void end_use(int set);
/// Removes it when nobody uses it.
bool remove_unused(int set);
/// Until the one who removes it has done so, or is dead. False with EAGAIN when the time is over.
bool until_unused(int set, Deadline deadline);

int value_of(int set, Part part);
/// It has not three semaphores, and so is no set of these. False when it is gone.
bool has_other_form(int set);
/// A set that nobody has ever changed, or one that is ready, and no users: a process that died before
/// it could tell has made it, or it looks like that.
bool looks_unused(int set);

}  // namespace bulkhead::os::semaphore_set

// SPDX-License-Identifier: Apache-2.0
//
// Queues of System V: making, finding and removing them, and the system's limits in words. They are
// not files: nothing closes them when a process ends, so each is in a NameRecord of who made it,
// and of who reads it from the moment it knows of it.
//
// A queue is found by its key, 31 random bits: a peer that is sandboxed and tells us a key can lead
// us to a queue of this user only when it can guess one. IPC_PRIVATE queues are found by their id,
// which is a small number.
#pragma once

#include <optional>
#include <string>
#include <sys/types.h>

#include <bulkhead/result.hpp>

namespace bulkhead::transport::sysv_mq {

struct Queue {
  int id = -1;
  key_t key = 0;
};

/// What fits one message of the kernel, and how many of that size wait: by msgmax and msgmnb.
struct Size {
  std::size_t unit = 0;
  std::size_t depth = 0;
};
Size size_by_limits();

/// Of 2^31 there are at most some ten thousand taken: nobody who means well needs as many.
inline constexpr unsigned most_keys_tried = 16;

/// `exhausted` with the limit that is in the way. Gives the key to `announce` before it is made.
template <class Announce> Result<Queue> create_queue(Announce&& announce);
Result<key_t> random_key();
/// Nothing when the key is taken.
Result<std::optional<Queue>> try_create(key_t key);

/// Of this user alone: `corrupt` otherwise.
Result<Queue> find_queue(key_t key);
void remove_queue(int id) noexcept;

/// Drops the records of `pid`, which is dead, that name this key or nothing yet.
void forget_records(pid_t pid, key_t key) noexcept;

/// The queue of a listener's key, which nothing goes through: whoever makes a queue of that key
/// finds it taken, and ipcs(1) shows by whom. It is known by its size, in which nothing fits, and
/// its lspid is its owner's.
/// A stale one is replaced. `exists` for a live listener's and for what no listener made.
Result<Queue> claim(key_t key);
/// A listener has claimed the key; `denied` when it is another user's.
Result<bool> is_claimed(key_t key);

/// "1234", "0x4d2" or "/path?id=7" (ftok(3)); `invalid` for anything else.
Result<key_t> key_of(std::string name);

template <class Announce> Result<Queue> create_queue(Announce&& announce) {
  for (unsigned tries = 0; tries < most_keys_tried; ++tries) {
    const key_t key = BULKHEAD_TRY(random_key());
    BULKHEAD_TRY(announce(key));
    if (const auto made = BULKHEAD_TRY(try_create(key))) return *made;
  }
  return fail(ErrorKind::exhausted, {.operation = "make",
                                     .object = "message queue",
                                     .cause = "every key that was tried is taken"});
}

}  // namespace bulkhead::transport::sysv_mq

// SPDX-License-Identifier: Apache-2.0
//
// One queue of POSIX between two ends: the sender has it open for writing, the receiver for
// reading, nobody else has it open. What a queue of the kernel lacks is built of what the kernel
// ties to its inode and to open files (Linux: a queue's descriptor is a file's):
//
// - Death. Each end holds an open-file-description lock (fcntl(2), F_OFD_SETLK) on its byte from
//   its making on; the kernel drops it with the last copy of that open file, however its process
//   ended, and before anybody has used it.
// - Close. An end that leaves in good order marks that in the file mode of the queue, where the
//   other finds it after the last message, however full the queue was.
// - The bell for both: inotify on the inode. IN_CLOSE_WRITE: no writer is left; IN_CLOSE_NOWRITE:
//   no reader; IN_ATTRIB: a mark. mq_notify(3) would tell only of messages, to one process at a
//   time, by a signal or a hidden thread; the descriptor itself polls for those.
// - Who is there. Each end also holds a lock of its process (F_SETLK): F_GETLK answers with its
//   pid, by the kernel's word and in the asker's numbers. For asking alone: it goes when its process
//   closes any descriptor of that queue.
//
// LAYOUT of the locks: a byte each at 0 sender, 1 receiver (open file), 2 sender, 3 receiver (pid);
//   from 2^32 on the clients of a listener that are making their queues (posix_mq.hpp)
// LAYOUT of the mode, over 0600: 0100 the sender has left, 0010 the receiver has left, 0001 made:
//   a client has made its queues and holds its sides (posix_mq_meeting.cpp), before anybody opens
//   them. Each bit is set by one side; when both leave at once one bit may be lost, and nobody is
//   left to look for it.
#pragma once

#include <optional>
#include <string>
#include <sys/types.h>
#include <utility>

#include <bulkhead/channel.hpp>

namespace bulkhead::transport::posix_mq {

enum class Side : std::uint8_t { sender, receiver };
constexpr Side other(Side side) noexcept {
  return side == Side::sender ? Side::receiver : Side::sender;
}

struct Size {
  std::size_t unit = 0;
  std::size_t depth = 0;
};

/// What a new queue is to be like; both are bounded by the system's limits (0: its own choice).
struct Wish {
  std::size_t unit = 0;
  std::size_t depth = 0;
  std::size_t capacity_bytes = 0;
  /// Of the memory that RLIMIT_MSGQUEUE gives to all queues of this user: one part in so many at
  /// the most, so that there is some for others.
  std::size_t share = 8;
};

/// A queue without a name, open on both sides, each holding its lock. `exhausted` with the limit
/// that is in the way and how to raise it.
struct Ends {
  Fd sender;
  Fd receiver;
};
Result<Ends> make_queue(const Wish& wish);

/// A new queue of that name, open on one side, which holds its lock.
Result<Fd> create_queue(const std::string& name, Side side, const Wish& wish);
/// One that somebody else has made, for the other side; `invalid` unless it is this user's and of
/// a usable size. Not waiting; the side's lock is taken.
Result<Fd> open_queue(const std::string& name, Side side);

/// `invalid` unless it is a queue that is open for that side alone, of a usable size. Makes it not
/// wait.
Result<Size> check_queue(FdView queue);
/// Which side an open queue is for; nothing for both or neither.
std::optional<Side> side_of(FdView queue) noexcept;

/// 128 random bits, 32 characters.
Result<std::string> random_name();

enum class Mark : unsigned { sender_left = 0100, receiver_left = 0010, made = 0001 };
constexpr Mark left(Side side) noexcept {
  return side == Side::sender ? Mark::sender_left : Mark::receiver_left;
}
void set_mark(FdView queue, Mark mark) noexcept;
bool has_mark(FdView queue, Mark mark) noexcept;

void hold_side(FdView queue, Side side) noexcept;
/// Anybody has the queue open on that side, apart from this open file.
bool is_held(FdView queue, Side side) noexcept;
/// A byte far behind those, of a listener's queue: for whoever chooses the same `number`.
void hold_number(FdView queue, std::uint64_t number) noexcept;
bool is_number_held(FdView queue, std::uint64_t number) noexcept;
/// The user's of this end: from now on this process has the side.
void hold_for_process(FdView queue, Side side) noexcept;
/// Who holds that side; 0 when nobody does, as before its end is used.
pid_t process_holding(FdView queue, Side side) noexcept;
uid_t owner_of(FdView queue) noexcept;

/// Rings for the other side's death and for marks of both.
Result<void> watch(FdView inotify, FdView queue, Side own_side);
Result<Fd> make_watcher();

}  // namespace bulkhead::transport::posix_mq

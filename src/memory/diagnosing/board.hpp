// SPDX-License-Identifier: Apache-2.0
//
// The board of a process: which locks each of its threads has and which one it waits for, for others
// to read. A file RUNTIME/locks/PID-START.board, mode 0600, mapped by its owner alone; everybody
// else reads it with pread(2), so that a file that is cut short is a short read and never SIGBUS.
//
// LAYOUT of the file: a Header, then Header::entries pages of one Entry each. Native byte order; the
// magic reads as another one elsewhere. All of it is written by the owner; an Entry by its one thread.
//
//   Header (4096 bytes)                         Entry (4096 bytes), one thread
//     0    4  magic     "BHlk"                    0    8  sequence  odd: being written
//     4    2  version   1                         8    4  thread    its tid; 0: free
//     6    2  entries   256                       12   4  held      records that follow
//     8    4  process   pid in its namespace      16   8  start     of the thread
//     12   4  used      entries that ever were    24   16 name      of the thread
//     16   8  start     of the process            40   4  waiting   0 or 1
//     24   8  boot      os::this_boot()           44   4  unnoted   locks it has beyond `most_held`
//     32   8  space     its process namespace     48   16 free, 0
//     40   8  since     CLOCK_MONOTONIC, ns       64  128 wanted    Record, when waiting
//     48   32 name      of the program            192 30 x 128      Record of each lock it has
//     80   4  unnoted   threads without entry
//     84   940 free, 0                          Record (128 bytes), a lock and the line that locks it
//     1024 16 x 192     Notice                    0    8  region    8  8  offset  in the region
//                                                 16   8  since     24 8  turn    of the lock
//   Notice (192 bytes), what was seen              32   8  until     a deadline; INT64_MAX: never
//     0    8  sequence  odd: being written        40   4  line      44 2  mode    46 2  depth
//     8    4  kind      0: free                   48   24 name      72 56 file    the end of its path
//     12   4  times
//     16   8  longest   ns                      Times are of CLOCK_MONOTONIC, ns: the same for all
//     24   8  passed    others came first       processes of a machine. Texts end with a zero byte
//     32   4  thread    who waited              unless they fill their room.
//     36   4  whom      for that thread
//     40   8  free, 0   48  128 record  16 free
//
// STATE of an Entry, by its thread alone
//   free    --first lock--> idle       page reserved, then thread and start
//   idle    --Waiting()-->  waiting    wanted, waiting = 1
//   waiting --took()-->     idle       waiting = 0 and the record added, in one writing
//   waiting --~Waiting()--> idle       waiting = 0: timed out, deadlock, poisoned
//   idle    --took()-->     idle       record added after the lock was got
//   idle    --gives()-->    idle       record removed before the lock is given up
//   any     --thread ends--> free
// So a record means that the thread has that lock, and `waiting` that it waits or is about to or has
// just stopped; `waiting` of one thread and a record of another for the same lock, which one of them
// has for itself, that it really waits.
//
// Who finds a deadlock: the kernel. A wait for a lock is FUTEX_LOCK_PI2, and the kernel, which knows
// who waits for whom to inherit priorities, follows owner and wait from lock to lock, across all
// processes, after the wait was queued, and gives EDEADLK to whose wait closes a circle (to two, when
// they close it in the same moment). So none is missed and none is told that is not there, whatever
// the boards say or however late; diagnosing or not. It does not know the names, the lines, nor whose the locks are:
// that is what boards are for.
//
// ORDER, why the circle that it found is on the boards: each thread notes what it has before it
// publishes that it waits, and publishes that it waits (followed by a sequentially consistent fence)
// before it asks the kernel to wait. The one that is given EDEADLK was seen by the kernel after all
// others had begun to wait there, under the lock of the kernel's that each of them had held in
// between. So all that makes the circle was stored before it looks.
//
// Why no circle is named that is none: a circle was read one entry after the other, each whole (the
// sequence before and after it). Then all sequences are read again. If none has changed, there was a
// moment between at which all of it stood at once, and by the two rules of STATE each member then
// really waited for the next; and each process and thread still lives by its start time, which no
// later one of that number has, and by the lock on the board. Else (a member with a deadline has just
// left, one does not diagnose) the error stays as it was, without the names.
//
// TRUST: boards are read by processes of this user, from a folder of this user's alone; a program of
// this user that writes nonsense into one can put wrong names into errors. Nothing it writes makes a reader crash, hang, or read outside: all of it is copied, then
// checked; counts are limited, texts cut and made printable; no loop depends on what is there. The
// owner never reads its own board to know what it has.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace bulkhead::memory::diagnosing {

constexpr std::int64_t no_deadline = std::numeric_limits<std::int64_t>::max();

struct Record {
  std::uint64_t region = 0;
  std::uint64_t offset = 0;
  std::int64_t since = 0;
  std::uint64_t turn = 0;
  std::int64_t until = no_deadline;
  std::uint32_t line = 0;
  std::uint16_t mode = 0;
  std::uint16_t depth = 0;
  std::array<char, 24> name{};
  std::array<char, 56> file{};
};

constexpr std::uint32_t most_held = 30;
constexpr std::size_t page = 4096;

struct Entry {
  std::uint64_t sequence = 0;
  std::uint32_t thread = 0;
  std::uint32_t held = 0;
  std::uint64_t start = 0;
  std::array<char, 16> name{};
  std::uint32_t waiting = 0;
  std::uint32_t unnoted = 0;
  std::array<std::uint64_t, 2> free{};
  Record wanted;
  std::array<Record, most_held> has{};
};

struct Notice {
  enum : std::uint32_t { none = 0, long_wait = 1, inversion = 2, starvation = 3 };

  std::uint64_t sequence = 0;
  std::uint32_t kind = none;
  std::uint32_t times = 0;
  std::int64_t longest = 0;
  std::uint64_t passed = 0;
  std::uint32_t thread = 0;
  std::uint32_t other_thread = 0;
  std::uint64_t free = 0;
  Record record;
  std::array<std::uint64_t, 2> more_free{};
};

constexpr std::uint32_t right_magic = 0x6b6c4842;
constexpr std::uint16_t right_version = 1;
constexpr std::uint16_t most_entries = 256;
constexpr std::size_t most_notices = 16;

struct Header {
  std::uint32_t magic = 0;
  std::uint16_t version = 0;
  std::uint16_t entries = 0;
  std::uint32_t process = 0;
  std::uint32_t used = 0;
  std::uint64_t start = 0;
  std::uint64_t boot = 0;
  std::uint64_t space = 0;
  std::int64_t since = 0;
  std::array<char, 32> name{};
  std::uint32_t unnoted = 0;
  std::array<std::uint32_t, 235> free{};
  std::array<Notice, most_notices> notices{};
};

static_assert(sizeof(Record) == 128 && offsetof(Record, until) == 32);
static_assert(offsetof(Record, line) == 40 && offsetof(Record, name) == 48);
static_assert(offsetof(Record, file) == 72);
static_assert(offsetof(Entry, start) == 16 && offsetof(Entry, waiting) == 40);
static_assert(offsetof(Entry, wanted) == 64 && offsetof(Entry, has) == 192);
static_assert(sizeof(Entry) <= page && sizeof(Entry) == 192 + most_held * sizeof(Record));
static_assert(sizeof(Notice) == 192 && offsetof(Notice, record) == 48);
static_assert(sizeof(Header) == page && offsetof(Header, name) == 48);
static_assert(offsetof(Header, unnoted) == 80 && offsetof(Header, notices) == 1024);
static_assert(std::is_trivially_copyable_v<Header> && std::is_trivially_copyable_v<Entry>);

constexpr std::size_t board_size = sizeof(Header) + std::size_t{most_entries} * page;
constexpr std::size_t offset_of_entry(std::uint32_t index) { return sizeof(Header) + index * page; }

constexpr std::size_t offset_of_record(std::uint32_t index) {
  return offsetof(Entry, has) + index * sizeof(Record);
}

/// In the runtime directory.
constexpr const char* board_folder = "/locks";
constexpr const char* board_ending = ".board";

}  // namespace bulkhead::memory::diagnosing

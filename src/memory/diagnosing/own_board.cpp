// SPDX-License-Identifier: Apache-2.0
#include "memory/diagnosing/own_board.hpp"

#include <atomic>
#include <bitset>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <mutex>
#include <new>
#include <pthread.h>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "memory/diagnosing/boards.hpp"
#include "memory/diagnosing/words.hpp"
#include "memory/sigbus_guard.hpp"
#include "os/file.hpp"
#include "os/process_identity.hpp"
#include "os/syscall.hpp"

namespace bulkhead::memory::diagnosing {
namespace {

std::int64_t read_clock(clockid_t clock) noexcept {
  timespec at{};
  ::clock_gettime(clock, &at);
  return at.tv_sec * 1'000'000'000 + at.tv_nsec;
}

/// Made once in a process, and never unmapped: threads write on it until the last moment.
struct Board {
  std::string path;
  Fd file;
  std::byte* memory = nullptr;
  GuardedRange guarded;  // somebody may cut the file
  std::mutex entries_in_use_by_threads;
  std::bitset<most_entries> in_use;
  std::bitset<most_entries> reserved;
  std::uint32_t used = 0;
  std::uint32_t unnoted = 0;
  std::mutex notices_by_threads;
  std::array<Notice, most_notices> notices{};

  std::byte* entry(std::uint32_t index) const { return memory + offset_of_entry(index); }
  void tell_used() const { store(memory + offsetof(Header, process), two(process, used)); }
  std::uint32_t process = 0;
};

std::mutex making;
std::atomic<Board*> own{nullptr};
std::atomic<bool> cannot{false};  // tried once, not at each lock

/// The process ends in good order: its board with it. One that is killed leaves it to others.
struct Ends {
  ~Ends() {
    const Board* const board = own.load();
    if (board != nullptr) ::unlink(board->path.c_str());
  }
};

Result<Fd> make_file(const std::string& folder, std::string& path) {
  for (int number = 0; number < 10'000; ++number) {
    path = folder + "/" + std::to_string(::getpid()) + "." + std::to_string(number) + board_ending;
    Fd file =
        Fd::adopt(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file && errno == EEXIST) continue;  // of a dead process, or one of another namespace
    if (!file) return os::failed("make", path);
    // A cleaner that comes between the two calls takes it for a dead one's: then it is gone.
    if (take_board(file) && is_still_there(file, path)) {
      if (::fchmod(file.native(), 0600) != 0) return os::failed("make", path);
      return file;
    }
    ::unlink(path.c_str());
  }
  return fail(ErrorKind::exists, {.operation = "make", .object = path});
}

/// As its first thread is called: for a role, its name.
std::array<char, 32> name_of_this_process() noexcept {
  std::array<char, 32> name{};
  const Fd file = Fd::adopt(::open("/proc/self/comm", O_RDONLY | O_CLOEXEC));
  const auto size = file ? ::read(file.native(), name.data(), name.size()) : 0;
  if (size <= 1) {
    put_text(name, ::program_invocation_short_name);
  } else {
    name[static_cast<std::size_t>(size) - 1] = 0;  // the end of the line
  }
  return name;
}

Header header_of_this_process() noexcept {
  Header header;
  header.magic = right_magic;
  header.version = right_version;
  header.entries = most_entries;
  header.process = static_cast<std::uint32_t>(::getpid());
  header.start = os::start_of(::getpid());
  header.boot = os::this_boot();
  header.space = os::process_namespace();
  header.since = now();
  header.name = name_of_this_process();
  return header;
}

Result<void> make_board() {
  const std::string folder = BULKHEAD_TRY(make_board_folder());
  remove_dead_boards(folder);
  BULKHEAD_TRY(os::check_size_limit(board_size, folder));
  auto board = std::make_unique<Board>();
  board->file = BULKHEAD_TRY(make_file(folder, board->path));
  const Header header = header_of_this_process();
  board->process = header.process;
  auto written =
      os::write_at(board->file, 0,
                   Bytes{reinterpret_cast<const std::byte*>(&header), sizeof header}, board->path);
  if (written && ::ftruncate(board->file.native(), board_size) != 0) {
    written = os::failed("make", board->path);
  }
  void* const at = !written ? MAP_FAILED
                            : ::mmap(nullptr, board_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                                     board->file.native(), 0);
  if (written && at == MAP_FAILED) written = os::failed("map", board->path);
  if (!written) {
    ::unlink(board->path.c_str());
    return written;
  }
  ::madvise(at, board_size, MADV_DONTFORK);  // a child's threads are not ours
  board->memory = static_cast<std::byte*>(at);
  static const Ends ends;
  own.store(board.release());
  return {};
}

void before_fork() { making.lock(); }
void after_fork() { making.unlock(); }
/// The board is the parent's, and so are the locks: a robust lock knows its owner's thread.
void after_fork_in_child() {
  Board* const parents = own.exchange(nullptr);
  if (parents != nullptr) {  // the rest may be in use by threads that are not here
    parents->file.close();
    parents->guarded.release();
  }
  OwnEntry::forget();
  cannot = false;
  making.unlock();
}

}  // namespace

std::int64_t now() noexcept { return read_clock(CLOCK_MONOTONIC); }
std::int64_t now_coarse() noexcept { return read_clock(CLOCK_MONOTONIC_COARSE); }

std::string own_board_folder() {
  const Board* const board = own.load();
  return board == nullptr ? std::string{} : os::folder_of(board->path);
}

Result<void> make_own_board() {
  if (own.load() != nullptr) return {};
  try {
    const std::lock_guard once{making};
    if (own.load() != nullptr) return {};
    static const int handlers = ::pthread_atfork(before_fork, after_fork, after_fork_in_child);
    static_cast<void>(handlers);
    return make_board();
  } catch (const std::bad_alloc&) {
    return fail(ErrorKind::exhausted, {.operation = "make", .object = "a board of locks"});
  }
}

std::optional<Room> take_room() noexcept {
  if (own.load() == nullptr && (cannot || !make_own_board())) {
    cannot = true;
    return std::nullopt;
  }
  Board& board = *own.load();
  const std::lock_guard one{board.entries_in_use_by_threads};
  if (!board.guarded) board.guarded = GuardedRange::watch(board.memory, board_size);
  std::uint32_t index = 0;
  while (index < most_entries && board.in_use[index]) ++index;
  static constexpr std::array<std::byte, page> nothing{};
  // Written once by a call: a store into a page for which the disk has no room would be a signal.
  const bool room = index < most_entries &&
                    (board.reserved[index] ||
                     os::write_at(board.file, offset_of_entry(index), Bytes{nothing}, board.path));
  if (!room) {
    store(board.memory + offsetof(Header, unnoted), two(++board.unnoted, 0));
    return std::nullopt;
  }
  board.in_use[index] = true;
  board.reserved[index] = true;
  board.used = std::max(board.used, index + 1);
  board.tell_used();
  return Room{index, board.entry(index)};
}

void give_room(std::uint32_t index) noexcept {
  Board& board = *own.load();
  const std::lock_guard one{board.entries_in_use_by_threads};
  board.in_use[index] = false;
}

void notice(std::uint32_t kind, std::int64_t lasted, std::uint64_t passed, std::uint32_t whom,
            const Lock& lock, const std::source_location& where) noexcept {
  Board* const board = own.load();
  if (board == nullptr) return;
  const std::lock_guard one{board->notices_by_threads};
  Notice* place = &board->notices[0];
  for (Notice& candidate : board->notices) {
    if (candidate.kind == kind && candidate.record.region == lock.region &&
        candidate.record.offset == lock.offset) {
      place = &candidate;
      break;
    }
    // Else a free one, else that of the shortest wait.
    const auto length = [](const Notice& of) { return of.kind == Notice::none ? -1 : of.longest; };
    if (length(candidate) < length(*place)) place = &candidate;
  }
  Notice& now_there = *place;
  const bool same = now_there.kind == kind && now_there.record.region == lock.region &&
                    now_there.record.offset == lock.offset;
  const std::uint32_t times = same ? now_there.times + 1 : 1;
  if (!same || lasted > now_there.longest) {
    const std::uint64_t sequence = now_there.sequence;
    now_there = Notice{};
    now_there.sequence = sequence;
    now_there.kind = kind;
    now_there.longest = lasted;
    now_there.passed = passed;
    now_there.thread = static_cast<std::uint32_t>(::gettid());
    now_there.other_thread = whom;
    now_there.record = record_of(lock, now(), where);
  }
  now_there.times = times;
  std::byte* const at = board->memory + offsetof(Header, notices) +
                        static_cast<std::size_t>(place - board->notices.data()) * sizeof(Notice);
  Notice shown = now_there;
  shown.sequence = ++now_there.sequence | 1;
  now_there.sequence = shown.sequence + 1;
  store_all(at, shown);  // its first word is the odd sequence
  store(at, now_there.sequence);
}

}  // namespace bulkhead::memory::diagnosing

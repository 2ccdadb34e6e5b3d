// SPDX-License-Identifier: Apache-2.0
#include "memory/diagnosing/boards.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/fence.hpp"
#include "os/names.hpp"
#include "os/process_identity.hpp"
#include "os/syscall.hpp"

namespace bulkhead::memory::diagnosing {
namespace {

constexpr std::size_t most_boards = 4096;

struct flock whole_file(short type) noexcept {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

bool read_at(FdView file, std::size_t offset, void* into, std::size_t size) noexcept {
  return os::retry_eintr([&] {
           return ::pread(file.native(), into, size, static_cast<off_t>(offset));
         }) == static_cast<ssize_t>(size);
}

/// ORDER(board.read): three reads with fences between, so that no word of the second is read before
/// the first sequence or after the last; the copying itself is the kernel's. Pairs with
/// ORDER(board.write).
template <class T> bool read_whole(FdView file, std::size_t offset, T& into) noexcept {
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  if (!read_at(file, offset, &before, sizeof before) || before % 2 != 0) return false;
  os::fence_seq_cst();
  if (!read_at(file, offset, &into, sizeof into)) return false;
  os::fence_seq_cst();
  if (!read_at(file, offset, &after, sizeof after) || before != after) return false;
  into.sequence = before;
  return true;
}

bool is_right(Record& record) noexcept {
  if (record.mode > 1) return false;
  record.depth = std::max<std::uint16_t>(record.depth, 1);
  return true;
}

bool is_out_of_descriptors() noexcept { return errno == EMFILE || errno == ENFILE; }

/// How many bytes of UTF-8 begin here, 0 for none, and what they mean.
std::size_t decode(std::string_view text, std::uint32_t& meaning) noexcept {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  const std::size_t size = first < 0x80   ? 1
                           : first < 0xc2 ? 0
                           : first < 0xe0 ? 2
                           : first < 0xf0 ? 3
                                          : 4;
  if (size == 0 || size > text.size() || first > 0xf4) return 0;
  meaning = size == 1 ? first : first & (0x7fU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    meaning = meaning << 6 | (byte(i) & 0x3f);
  }
  return size;
}

bool is_harmless(std::uint32_t letter) noexcept {
  const auto between = [letter](std::uint32_t a, std::uint32_t b) {
    return letter >= a && letter <= b;
  };
  return letter >= 32 && !between(0x7f, 0x9f) && !between(0x200b, 0x200f) &&
         !between(0x2028, 0x202e) && !between(0x2066, 0x2069);
}

}  // namespace

std::string printable(std::string_view text) {
  std::string clean;
  while (!text.empty()) {
    std::uint32_t letter = 0;
    const std::size_t size = decode(text, letter);
    if (size != 0 && is_harmless(letter)) {
      clean += text.substr(0, size);
    } else {
      clean.append(std::max<std::size_t>(size, 1), '?');
    }
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return clean;
}

Result<std::string> make_board_folder() {
  std::string path = BULKHEAD_TRY(os::runtime_directory()) + board_folder;
  if (::mkdir(path.c_str(), 0700) == 0) {
    BULKHEAD_TRY(os::restore_mode(path, S_IFDIR, 0700));
  } else if (errno != EEXIST) {
    return os::failed("make folder", path);
  }
  return path;
}

bool take_board(FdView file) noexcept {
  struct flock lock = whole_file(F_WRLCK);
  return os::retry_eintr([&] { return ::fcntl(file.native(), F_OFD_SETLK, &lock); }) == 0;
}

bool is_still_there(FdView file, const std::string& path) noexcept {
  struct stat held{};
  struct stat named{};
  return ::fstat(file.native(), &held) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

bool SeenBoard::is_ours() const noexcept {
  return whole && header.process == static_cast<std::uint32_t>(::getpid()) &&
         header.space == os::process_namespace() && header.start == os::start_of(::getpid());
}

Result<std::vector<std::string>> board_paths(const std::string& folder) {
  std::vector<std::string> found;
  DIR* const open = ::opendir(folder.c_str());
  if (open == nullptr && is_out_of_descriptors()) return os::failed("read", folder);
  if (open == nullptr) return found;
  while (const dirent* entry = ::readdir(open)) {
    if (found.size() == most_boards) break;
    if (std::string_view{entry->d_name}.ends_with(board_ending)) {
      found.push_back(folder + "/" + entry->d_name);
    }
  }
  ::closedir(open);
  std::sort(found.begin(), found.end());
  return found;
}

Result<std::optional<SeenBoard>> see_board(const std::string& path) {
  SeenBoard board;
  board.path = path;
  board.file =
      Fd::adopt(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!board.file && is_out_of_descriptors()) return os::failed("read", path);
  struct stat found{};
  if (!board.file || ::fstat(board.file.native(), &found) != 0) return std::nullopt;
  if (!S_ISREG(found.st_mode) || found.st_uid != ::geteuid()) return std::nullopt;
  Header& header = board.header;
  board.whole = read_at(board.file, 0, &header, sizeof header) && header.magic == right_magic &&
                header.version == right_version && header.entries == most_entries &&
                static_cast<pid_t>(header.process) > 0;
  board.size = static_cast<std::uint64_t>(found.st_size);
  if (board.whole) {
    const std::uint64_t end = std::max<std::uint64_t>(board.size + page - sizeof(Entry), page);
    const std::uint64_t there = (end - offset_of_entry(0)) / page;
    const std::uint64_t were = std::min<std::uint64_t>(header.used, most_entries);
    board.entries = static_cast<std::uint32_t>(std::min(there, were));
    board.cut_off = static_cast<std::uint32_t>(were) - board.entries;
  }
  board.lives = lives(board);
  return board;
}

std::vector<SeenBoard> see_boards(const std::string& folder) {
  std::vector<SeenBoard> boards;
  for (const std::string& path : board_paths(folder).value_or(std::vector<std::string>{})) {
    auto board = see_board(path);
    if (board && *board) boards.push_back(**std::move(board));
  }
  return boards;
}

bool lives(const SeenBoard& board) noexcept {
  struct flock lock = whole_file(F_WRLCK);
  if (os::retry_eintr([&] { return ::fcntl(board.file.native(), F_OFD_GETLK, &lock); }) != 0 ||
      lock.l_type == F_UNLCK) {
    return false;
  }
  if (!board.whole) return true;  // somebody has it; who, cannot be read
  if (board.header.boot != os::this_boot()) return false;
  return board.header.space != os::process_namespace() ||
         os::start_of(static_cast<pid_t>(board.header.process)) == board.header.start;
}

bool lives(const SeenBoard& board, const Entry& entry) noexcept {
  if (!lives(board)) return false;
  return board.header.space != os::process_namespace() ||
         os::start_of(static_cast<pid_t>(board.header.process), static_cast<pid_t>(entry.thread)) ==
             entry.start;
}

std::optional<Entry> read_entry(const SeenBoard& board, std::uint32_t index) noexcept {
  Entry entry;
  if (!read_whole(board.file, offset_of_entry(index), entry)) return std::nullopt;
  if (static_cast<pid_t>(entry.thread) <= 0 || entry.held > most_held || entry.waiting > 1) {
    return std::nullopt;
  }
  if (entry.waiting != 0 && !is_right(entry.wanted)) return std::nullopt;
  for (std::uint32_t i = 0; i < entry.held; ++i) {
    if (!is_right(entry.has[i])) return std::nullopt;
  }
  return entry;
}

std::optional<std::uint64_t> read_sequence(const SeenBoard& board, std::uint32_t index) noexcept {
  std::uint64_t sequence = 0;
  if (!read_at(board.file, offset_of_entry(index), &sequence, sizeof sequence)) return std::nullopt;
  return sequence;
}

std::optional<Notice> read_notice(const SeenBoard& board, std::size_t index) noexcept {
  Notice notice;
  const std::size_t offset = offsetof(Header, notices) + index * sizeof(Notice);
  if (!board.whole || !read_whole(board.file, offset, notice)) return std::nullopt;
  if (notice.kind == Notice::none || notice.kind > Notice::starvation || !is_right(notice.record)) {
    return std::nullopt;
  }
  return notice;
}

std::vector<std::string> remove_dead_boards(const std::string& folder) {
  std::vector<std::string> removed;
  for (const std::string& path : board_paths(folder).value_or(std::vector<std::string>{})) {
    const Fd file =
        Fd::adopt(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    struct stat found{};
    // Whoever has the lock alone, and sees the name still there, removes what nobody has. One whose
    // process is gone and whose lock is not is held by a fork of it, and goes with that.
    if (!file || ::fstat(file.native(), &found) != 0 || !S_ISREG(found.st_mode) ||
        found.st_uid != ::geteuid() || !take_board(file) || !is_still_there(file, path)) {
      continue;
    }
    if (::unlink(path.c_str()) == 0) removed.push_back(path);
  }
  return removed;
}

std::string name_of(const Record& lock) {
  std::string name = text_of(lock.name);
  if (!name.empty()) return "\"" + name + "\"";
  std::array<char, 64> place;
  std::snprintf(place.data(), place.size(), "the lock at 0x%llx of region %llx",
                static_cast<unsigned long long>(lock.offset),
                static_cast<unsigned long long>(lock.region));
  return place.data();
}

std::string line_of(const Record& lock) {
  const std::string file = text_of(lock.file);
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(lock.line);
}

}  // namespace bulkhead::memory::diagnosing

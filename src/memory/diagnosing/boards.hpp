// SPDX-License-Identifier: Apache-2.0
//
// The boards of all processes of this user, as others see them: the reading side (board.hpp), and
// whose board is whose.
//
// A board is its process's as long as that one holds an open file description lock on it, which the
// kernel drops; a process that was forked without our handlers (clone(2)) may hold it longer, hence
// the start time beside it. TRUST: see board.hpp; what is returned here is a copy that was checked.
#pragma once

#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <bulkhead/fd.hpp>
#include <bulkhead/result.hpp>

#include "memory/diagnosing/board.hpp"

namespace bulkhead::memory::diagnosing {

/// RUNTIME/locks, made when missing.
Result<std::string> make_board_folder();

/// Takes the lock that says that a board is ours. Never waits.
bool take_board(FdView file) noexcept;
bool is_still_there(FdView file, const std::string& path) noexcept;

struct SeenBoard {
  std::string path;
  Fd file;
  Header header;
  std::uint64_t size = 0;     ///< of the file; 0: it is being made
  std::uint32_t entries = 0;  ///< that may be in use
  std::uint32_t cut_off = 0;  ///< that were, and are not there any more
  bool whole = false;  ///< magic, version and size are right; otherwise nothing is said of `header`
  bool lives = false;

  /// Of this process.
  bool is_ours() const noexcept;
};

/// All files that are called boards, dead ones too. None when there is no folder; `exhausted` when no
/// descriptor is left to look.
Result<std::vector<std::string>> board_paths(const std::string& folder);
/// Nothing when it is no file of ours or has gone; `exhausted` as above.
Result<std::optional<SeenBoard>> see_board(const std::string& path);
/// All that can be seen.
std::vector<SeenBoard> see_boards(const std::string& folder);

/// The process of that board lives. Asks the kernel anew.
bool lives(const SeenBoard& board) noexcept;
/// And so does the thread of that entry.
bool lives(const SeenBoard& board, const Entry& entry) noexcept;

/// A copy of an entry that was whole and was not written meanwhile, with nothing in it that does not
/// fit; nothing when it is free, being written, or cut off.
std::optional<Entry> read_entry(const SeenBoard& board, std::uint32_t index) noexcept;
std::optional<std::uint64_t> read_sequence(const SeenBoard& board, std::uint32_t index) noexcept;

/// The same of what was seen.
std::optional<Notice> read_notice(const SeenBoard& board, std::size_t index) noexcept;

/// Unlinks the boards of the dead, and what is no board but lies there under such a name and is not
/// in use. The paths.
std::vector<std::string> remove_dead_boards(const std::string& folder);

/// UTF-8 that moves no cursor and turns no line around: a question mark for each byte of what does,
/// and of what is no UTF-8.
std::string printable(std::string_view text);

/// The text in a field.
template <std::size_t Size> std::string text_of(const std::array<char, Size>& field) {
  return printable({field.data(), ::strnlen(field.data(), Size)});
}
/// "account", or where an unnamed one lies.
std::string name_of(const Record& lock);
/// "transfer.cpp:31"
std::string line_of(const Record& lock);

}  // namespace bulkhead::memory::diagnosing

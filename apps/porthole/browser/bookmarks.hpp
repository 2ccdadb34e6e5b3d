// SPDX-License-Identifier: Apache-2.0
//
// Bookmarks: folders and pages in an order, in an SQLite file of the profile.
//
//   auto bookmarks = Bookmarks::open(default_profile_folder() / "bookmarks.sqlite", handbook_url);
//
// A file that is damaged is moved aside, under a name that notice() tells, and a new one is begun;
// nothing is ever deleted. A file of a newer Porthole is left alone: `incompatible`.
//
// Threads: one at a time. Blocks as the disk does, a write a few milliseconds and, while another
// Porthole writes, at most a quarter of a second: the bar of bookmarks is read once at start.
//
// LAYOUT, table `bookmark`: id, parent (0: the bar itself), place (order within the parent), title,
// url (NULL: a folder). PRAGMA user_version is the layout's number, 1.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <bulkhead/result.hpp>

struct sqlite3;

namespace porthole {

enum class BookmarkId : std::int64_t {};

/// What lies in no other folder.
inline constexpr BookmarkId bookmarks_bar{0};

struct Bookmark {
  BookmarkId id{};
  BookmarkId parent = bookmarks_bar;
  std::string title = {};
  /// Empty: a folder.
  std::string url = {};
  bool is_folder() const { return url.empty(); }
  friend bool operator==(const Bookmark&, const Bookmark&) = default;
};

class Bookmarks {
 public:
  /// Opens or makes the file and its folder; ":memory:" keeps nothing. A new one gets a few entries,
  /// the handbook among them when its URL is not empty.
  static bulkhead::Result<Bookmarks> open(const std::filesystem::path& file,
                                          std::string_view handbook = {});

  Bookmarks(Bookmarks&&) noexcept;
  Bookmarks& operator=(Bookmarks&&) noexcept;
  ~Bookmarks();

  /// What people should know: that the file was damaged, and where it is now. Empty otherwise.
  const std::string& notice() const noexcept { return notice_; }

  /// What a folder contains, in its order.
  bulkhead::Result<std::vector<Bookmark>> list(BookmarkId folder = bookmarks_bar) const;

  /// At the end of a folder. `not_found` when there is no such folder, `invalid` without a URL.
  bulkhead::Result<BookmarkId> add(std::string_view title, std::string_view url,
                                   BookmarkId folder = bookmarks_bar);
  bulkhead::Result<BookmarkId> add_folder(std::string_view title,
                                          BookmarkId folder = bookmarks_bar);
  bulkhead::Result<void> rename(BookmarkId which, std::string_view title);
  /// To position `place` of a folder (from 0; beyond the end: the end). `invalid` when a folder
  /// would come to lie in itself.
  bulkhead::Result<void> move(BookmarkId which, BookmarkId folder, std::size_t place);
  /// A folder with all that it contains.
  bulkhead::Result<void> remove(BookmarkId which);

 private:
  struct Closer {
    void operator()(sqlite3* database) const;
  };
  using Database = std::unique_ptr<sqlite3, Closer>;
  explicit Bookmarks(Database database) : database_(std::move(database)) {}

  static bulkhead::Result<Database> opened(const std::filesystem::path& file,
                                           std::string_view handbook);
  bulkhead::Result<BookmarkId> insert(std::string_view title, std::optional<std::string_view> url,
                                      BookmarkId folder);
  bulkhead::Result<bool> is_within(BookmarkId which, BookmarkId folder) const;
  bulkhead::Result<void> require_folder(BookmarkId folder) const;

  Database database_;
  std::string notice_;
};

/// $XDG_DATA_HOME/porthole, else ~/.local/share/porthole; empty when neither is known.
std::filesystem::path default_profile_folder();

}  // namespace porthole

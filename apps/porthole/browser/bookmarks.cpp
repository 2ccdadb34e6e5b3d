// SPDX-License-Identifier: Apache-2.0
#include "browser/bookmarks.hpp"

#include <algorithm>
#include <cstdlib>
#include <sqlite3.h>
#include <utility>

namespace porthole {
namespace {

using bulkhead::Error;
using bulkhead::ErrorKind;
using bulkhead::fail;
using bulkhead::Result;

constexpr int layout = 1;
constexpr int patience_ms = 250;

constexpr const char* schema =
    "CREATE TABLE bookmark("
    "  id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, place INTEGER NOT NULL,"
    "  title TEXT NOT NULL, url TEXT);"
    "CREATE INDEX bookmark_by_parent ON bookmark(parent, place);"
    "PRAGMA user_version = 1;";

ErrorKind kind_of(int code) {
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ErrorKind::corrupt;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorKind::timed_out;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      return ErrorKind::exhausted;
    case SQLITE_CANTOPEN:
      return ErrorKind::not_found;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return ErrorKind::denied;
    default:
      return ErrorKind::system;
  }
}

std::unexpected<Error> bad(ErrorKind kind, std::string operation, std::string cause) {
  return fail(
      kind, {.operation = std::move(operation), .object = "bookmarks", .cause = std::move(cause)});
}

std::unexpected<Error> failed(sqlite3* database, std::string operation) {
  const int code = database ? sqlite3_extended_errcode(database) : SQLITE_NOMEM;
  return bad(kind_of(code), std::move(operation),
             database ? sqlite3_errmsg(database) : "out of memory");
}

/// One statement; arguments are bound in their order.
class Statement {
 public:
  Statement(sqlite3* database, std::string_view text) : database_(database) {
    sqlite3_prepare_v2(database, text.data(), static_cast<int>(text.size()), &statement_, nullptr);
  }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(statement_); }

  Statement& operator<<(std::int64_t number) {
    sqlite3_bind_int64(statement_, ++bound_, number);
    return *this;
  }
  Statement& operator<<(BookmarkId id) { return *this << static_cast<std::int64_t>(id); }
  Statement& operator<<(std::string_view text) {
    sqlite3_bind_text(statement_, ++bound_, text.data(), static_cast<int>(text.size()),
                      SQLITE_TRANSIENT);
    return *this;
  }
  Statement& operator<<(std::optional<std::string_view> text) {
    if (text) return *this << *text;
    sqlite3_bind_null(statement_, ++bound_);
    return *this;
  }

  /// True when there is a row.
  Result<bool> step(const char* operation) {
    const int code = statement_ ? sqlite3_step(statement_) : sqlite3_errcode(database_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return failed(database_, operation);
  }
  std::int64_t number(int column) { return sqlite3_column_int64(statement_, column); }
  std::string text(int column) {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return text ? text : std::string{};
  }

 private:
  sqlite3* database_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

Result<void> run(sqlite3* database, const char* text, const char* operation) {
  if (sqlite3_exec(database, text, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return failed(database, operation);
  }
  return {};
}

/// What was begun and is not kept is undone.
class Transaction {
 public:
  static Result<Transaction> begin(sqlite3* database, const char* operation) {
    BULKHEAD_TRY(run(database, "BEGIN IMMEDIATE", operation));
    return Transaction{database};
  }
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction() {
    if (database_) sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
  Result<void> keep(const char* operation) {
    BULKHEAD_TRY(run(database_, "COMMIT", operation));
    database_ = nullptr;
    return {};
  }

 private:
  explicit Transaction(sqlite3* database) : database_(database) {}
  sqlite3* database_;
};

/// Says `corrupt` of what is no database, or a damaged one.
Result<std::int64_t> checked_layout(sqlite3* database) {
  Statement check{database, "PRAGMA quick_check(1)"};
  if (BULKHEAD_TRY(check.step("open")) && check.text(0) != "ok") {
    return bad(ErrorKind::corrupt, "open", check.text(0));
  }
  Statement version{database, "PRAGMA user_version"};
  BULKHEAD_TRY(version.step("open"));
  return version.number(0);
}

Result<void> fill(sqlite3* database, std::string_view handbook) {
  const auto add = [&](std::int64_t id, std::int64_t parent, std::string_view title,
                       std::optional<std::string_view> url) -> Result<void> {
    Statement insert{database,
                     "INSERT INTO bookmark(id, parent, place, title, url) VALUES(?,?,?,?,?)"};
    insert << id << parent << id << title << url;
    BULKHEAD_TRY(insert.step("make"));
    return {};
  };
  if (!handbook.empty()) BULKHEAD_TRY(add(1, 0, "Handbook", handbook));
  BULKHEAD_TRY(add(2, 0, "Inside Porthole", std::nullopt));
  BULKHEAD_TRY(add(3, 2, "Processes", "about:processes"));
  BULKHEAD_TRY(add(4, 2, "Sandbox", "about:sandbox"));
  BULKHEAD_TRY(add(5, 2, "Version", "about:version"));
  return {};
}

/// Moves the file and what SQLite keeps beside it to the first name that is free.
Result<std::filesystem::path> moved_aside(const std::filesystem::path& file) {
  std::error_code error;
  for (int number = 1; number < 1000; ++number) {
    const std::string ending = ".damaged-" + std::to_string(number);
    const std::filesystem::path aside = file.string() + ending;
    if (std::filesystem::exists(aside, error)) continue;
    std::filesystem::rename(file, aside, error);
    if (error) break;
    for (const char* beside : {"-journal", "-wal", "-shm"}) {
      std::error_code none;
      std::filesystem::rename(file.string() + beside, aside.string() + beside, none);
    }
    return aside;
  }
  return bad(ErrorKind::system, "move aside",
             "the damaged file " + file.string() + " stays: " + error.message());
}

}  // namespace

Bookmarks::Bookmarks(Bookmarks&&) noexcept = default;
Bookmarks& Bookmarks::operator=(Bookmarks&&) noexcept = default;
Bookmarks::~Bookmarks() = default;

void Bookmarks::Closer::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

Result<Bookmarks::Database> Bookmarks::opened(const std::filesystem::path& file,
                                              std::string_view handbook) {
  sqlite3* raw = nullptr;
  const int code =
      sqlite3_open_v2(file.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  Database database{raw};
  if (code != SQLITE_OK) return failed(raw, "open");
  sqlite3_busy_timeout(raw, patience_ms);
  const auto found = BULKHEAD_TRY(checked_layout(raw));
  if (found > layout) {
    return bad(ErrorKind::incompatible, "open",
               file.string() + " was written by a newer Porthole, and is left alone");
  }
  if (found == 0) {
    auto making = BULKHEAD_TRY(Transaction::begin(raw, "make"));
    // Another Porthole may have made it since.
    if (BULKHEAD_TRY(checked_layout(raw)) == 0) {
      BULKHEAD_TRY(run(raw, schema, "make"));
      BULKHEAD_TRY(fill(raw, handbook));
    }
    BULKHEAD_TRY(making.keep("make"));
  }
  return database;
}

Result<Bookmarks> Bookmarks::open(const std::filesystem::path& file, std::string_view handbook) {
  const bool in_memory = file == ":memory:";
  if (!in_memory && file.has_parent_path()) {
    std::error_code ignored;  // told by what opens the file
    std::filesystem::create_directories(file.parent_path(), ignored);
  }
  auto database = opened(file, handbook);
  if (database) return Bookmarks{std::move(*database)};
  if (in_memory || database.error() != ErrorKind::corrupt) {
    return fail(std::move(database).error());
  }
  const auto aside = BULKHEAD_TRY(moved_aside(file));
  Bookmarks bookmarks{BULKHEAD_TRY(opened(file, handbook))};
  bookmarks.notice_ = "the bookmarks in " + file.string() + " were damaged (" +
                      database.error().cause() + "); they are kept as " +
                      aside.filename().string() + ", and new ones were begun";
  return bookmarks;
}

Result<std::vector<Bookmark>> Bookmarks::list(BookmarkId folder) const {
  Statement select{database_.get(),
                   "SELECT id, title, url FROM bookmark WHERE parent = ? ORDER BY place, id"};
  select << folder;
  std::vector<Bookmark> found;
  while (BULKHEAD_TRY(select.step("list"))) {
    found.push_back({.id = BookmarkId{select.number(0)},
                     .parent = folder,
                     .title = select.text(1),
                     .url = select.text(2)});
  }
  return found;
}

Result<void> Bookmarks::require_folder(BookmarkId folder) const {
  if (folder == bookmarks_bar) return {};
  Statement select{database_.get(), "SELECT 1 FROM bookmark WHERE id = ? AND url IS NULL"};
  select << folder;
  if (BULKHEAD_TRY(select.step("look up"))) return {};
  return bad(ErrorKind::not_found, "change", "there is no such folder");
}

Result<BookmarkId> Bookmarks::insert(std::string_view title, std::optional<std::string_view> url,
                                     BookmarkId folder) {
  BULKHEAD_TRY(require_folder(folder));
  Statement insert{database_.get(),
                   "INSERT INTO bookmark(parent, place, title, url) VALUES(?1, "
                   "(SELECT IFNULL(MAX(place), -1) + 1 FROM bookmark WHERE parent = ?1), ?2, ?3)"};
  insert << folder << title << url;
  BULKHEAD_TRY(insert.step("add to"));
  return BookmarkId{sqlite3_last_insert_rowid(database_.get())};
}

Result<BookmarkId> Bookmarks::add(std::string_view title, std::string_view url, BookmarkId folder) {
  if (url.empty()) return bad(ErrorKind::invalid, "add to", "a page needs a URL");
  return insert(title, url, folder);
}

Result<BookmarkId> Bookmarks::add_folder(std::string_view title, BookmarkId folder) {
  return insert(title, std::nullopt, folder);
}

Result<void> Bookmarks::rename(BookmarkId which, std::string_view title) {
  Statement update{database_.get(), "UPDATE bookmark SET title = ? WHERE id = ?"};
  update << title << which;
  BULKHEAD_TRY(update.step("rename in"));
  if (sqlite3_changes(database_.get()) == 1) return {};
  return bad(ErrorKind::not_found, "rename in", "there is no such entry");
}

Result<bool> Bookmarks::is_within(BookmarkId which, BookmarkId folder) const {
  Statement select{
      database_.get(),
      "WITH RECURSIVE above(id) AS (SELECT ?1 UNION SELECT parent FROM bookmark, above "
      "WHERE bookmark.id = above.id) SELECT 1 FROM above WHERE id = ?2"};
  select << which << folder;
  return select.step("look up");
}

Result<void> Bookmarks::move(BookmarkId which, BookmarkId folder, std::size_t place) {
  auto moving = BULKHEAD_TRY(Transaction::begin(database_.get(), "move in"));
  BULKHEAD_TRY(require_folder(folder));
  if (BULKHEAD_TRY(is_within(folder, which))) {
    return bad(ErrorKind::invalid, "move in", "a folder cannot lie in itself");
  }
  auto order = BULKHEAD_TRY(list(folder));
  std::erase_if(order, [&](const Bookmark& entry) { return entry.id == which; });
  const auto at = static_cast<std::ptrdiff_t>(std::min(place, order.size()));
  order.insert(order.begin() + at, Bookmark{.id = which});
  for (std::size_t i = 0; i < order.size(); ++i) {
    Statement update{database_.get(), "UPDATE bookmark SET parent = ?, place = ? WHERE id = ?"};
    update << folder << static_cast<std::int64_t>(i) << order[i].id;
    BULKHEAD_TRY(update.step("move in"));
    if (sqlite3_changes(database_.get()) != 1) {
      return bad(ErrorKind::not_found, "move in", "there is no such entry");
    }
  }
  return moving.keep("move in");
}

Result<void> Bookmarks::remove(BookmarkId which) {
  Statement remove{database_.get(),
                   "WITH RECURSIVE below(id) AS (SELECT ?1 UNION SELECT bookmark.id FROM bookmark, "
                   "below WHERE bookmark.parent = below.id) "
                   "DELETE FROM bookmark WHERE id IN below"};
  if (which == bookmarks_bar) return bad(ErrorKind::invalid, "remove from", "the bar itself stays");
  remove << which;
  BULKHEAD_TRY(remove.step("remove from"));
  if (sqlite3_changes(database_.get()) > 0) return {};
  return bad(ErrorKind::not_found, "remove from", "there is no such entry");
}

std::filesystem::path default_profile_folder() {
  // A relative one is to be ignored, says the XDG Base Directory Specification.
  if (const char* data = std::getenv("XDG_DATA_HOME"); data && *data == '/') {
    return std::filesystem::path{data} / "porthole";
  }
  if (const char* home = std::getenv("HOME"); home && *home == '/') {
    return std::filesystem::path{home} / ".local/share/porthole";
  }
  return {};
}

}  // namespace porthole

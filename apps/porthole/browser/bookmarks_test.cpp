// SPDX-License-Identifier: Apache-2.0
#include "browser/bookmarks.hpp"

#include <fstream>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sstream>

#include "support/census.hpp"

namespace porthole {
namespace {

using bulkhead::ErrorKind;

std::filesystem::path fresh_file() {
  return bulkhead::test::temporary_folder() / "deep/er/bookmarks.sqlite";
}

/// "Handbook, Inside/"
std::string shown(const Bookmarks& bookmarks, BookmarkId folder = bookmarks_bar) {
  std::string text;
  const auto entries = bookmarks.list(folder);
  if (!entries) return entries.error().sentence();
  for (const auto& entry : *entries) {
    text += (text.empty() ? "" : ", ") + entry.title + (entry.is_folder() ? "/" : "");
  }
  return text;
}

TEST(bookmarks, a_new_file_has_a_few_entries) {
  const auto bookmarks = *Bookmarks::open(fresh_file(), "file:///handbook/index.html");
  EXPECT_EQ(shown(bookmarks), "Handbook, Inside Porthole/");
  EXPECT_EQ(bookmarks.list()->at(0).url, "file:///handbook/index.html");
  EXPECT_EQ(shown(bookmarks, bookmarks.list()->at(1).id), "Processes, Sandbox, Version");
  EXPECT_EQ(bookmarks.notice(), "");
}

TEST(bookmarks, they_are_there_again) {
  const auto file = fresh_file();
  {
    auto bookmarks = *Bookmarks::open(file);
    const auto folder = *bookmarks.add_folder("Mine");
    ASSERT_TRUE(bookmarks.add("It's \"x\"", "http://a.test/", folder));
  }
  const auto bookmarks = *Bookmarks::open(file, "file:///another");
  EXPECT_EQ(shown(bookmarks), "Inside Porthole/, Mine/");
  EXPECT_EQ(shown(bookmarks, bookmarks.list()->at(1).id), "It's \"x\"");
}

TEST(bookmarks, those_in_memory_leave_no_file) {
  auto bookmarks = *Bookmarks::open(":memory:", "file:///h");
  ASSERT_TRUE(bookmarks.add("x", "http://a.test/"));
  EXPECT_EQ(shown(bookmarks), "Handbook, Inside Porthole/, x");
  EXPECT_FALSE(std::filesystem::exists(":memory:"));
}

TEST(bookmarks, they_are_renamed_moved_and_removed) {
  auto bookmarks = *Bookmarks::open(":memory:");
  const auto inside = bookmarks.list()->at(0).id;
  const auto a = *bookmarks.add("a", "http://a.test/");
  const auto b = *bookmarks.add("b", "http://b.test/");
  ASSERT_TRUE(bookmarks.rename(a, "A"));
  ASSERT_TRUE(bookmarks.move(b, bookmarks_bar, 0));
  EXPECT_EQ(shown(bookmarks), "b, Inside Porthole/, A");
  ASSERT_TRUE(bookmarks.move(a, inside, 1));
  EXPECT_EQ(shown(bookmarks, inside), "Processes, A, Sandbox, Version");
  ASSERT_TRUE(bookmarks.move(b, bookmarks_bar, 99));
  EXPECT_EQ(shown(bookmarks), "Inside Porthole/, b");
  ASSERT_TRUE(bookmarks.remove(inside));
  EXPECT_EQ(shown(bookmarks), "b");
  EXPECT_EQ(shown(bookmarks, inside), "");
}

TEST(bookmarks, what_makes_no_sense_is_refused_and_changes_nothing) {
  auto bookmarks = *Bookmarks::open(":memory:");
  const auto outer = *bookmarks.add_folder("outer");
  const auto inner = *bookmarks.add_folder("inner", outer);
  const auto page = *bookmarks.add("page", "http://a.test/");
  constexpr BookmarkId nobody{99};
  EXPECT_EQ(bookmarks.move(outer, inner, 0).error().kind(), ErrorKind::invalid);
  EXPECT_EQ(bookmarks.move(outer, outer, 0).error().kind(), ErrorKind::invalid);
  EXPECT_EQ(bookmarks.move(nobody, outer, 0).error().kind(), ErrorKind::not_found);
  EXPECT_EQ(bookmarks.move(page, nobody, 0).error().kind(), ErrorKind::not_found);
  EXPECT_EQ(bookmarks.add("x", "http://a.test/", page).error().kind(), ErrorKind::not_found);
  EXPECT_EQ(bookmarks.add("x", "").error().kind(), ErrorKind::invalid);
  EXPECT_EQ(bookmarks.rename(nobody, "x").error().kind(), ErrorKind::not_found);
  EXPECT_EQ(bookmarks.remove(nobody).error().kind(), ErrorKind::not_found);
  EXPECT_EQ(bookmarks.remove(bookmarks_bar).error().kind(), ErrorKind::invalid);
  EXPECT_EQ(shown(bookmarks), "Inside Porthole/, outer/, page");
  EXPECT_EQ(shown(bookmarks, outer), "inner/");
}

TEST(bookmarks, a_damaged_file_is_told_and_kept_aside) {
  const auto file = fresh_file();
  std::filesystem::create_directories(file.parent_path());
  const std::string rubbish(5000, 'x');
  for (const int number : {1, 2}) {
    std::ofstream{file, std::ios::trunc} << rubbish;
    const auto bookmarks = *Bookmarks::open(file);
    const std::string aside = "bookmarks.sqlite.damaged-" + std::to_string(number);
    EXPECT_TRUE(bookmarks.notice().contains(aside)) << bookmarks.notice();
    EXPECT_EQ(shown(bookmarks), "Inside Porthole/");
    std::stringstream kept;
    kept << std::ifstream{file.parent_path() / aside}.rdbuf();
    EXPECT_EQ(kept.str(), rubbish);
  }
}

TEST(bookmarks, a_file_that_was_overwritten_in_part_is_told_and_kept_aside) {
  const auto file = fresh_file();
  {
    auto bookmarks = *Bookmarks::open(file);
    for (int i = 0; i < 10; ++i) {
      ASSERT_TRUE(bookmarks.add(std::string(5000, 'a'), "http://a.test/"));
    }
  }
  std::fstream damaged{file, std::ios::in | std::ios::out | std::ios::binary};
  damaged.seekp(4096) << std::string(20'000, '\xee');
  damaged.close();
  EXPECT_FALSE(Bookmarks::open(file)->notice().empty());
}

TEST(bookmarks, the_file_of_a_newer_porthole_is_left_alone) {
  const auto file = fresh_file();
  ASSERT_TRUE(Bookmarks::open(file));
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(file.c_str(), &database), SQLITE_OK);
  sqlite3_exec(database, "PRAGMA user_version = 2", nullptr, nullptr, nullptr);
  sqlite3_close(database);
  const auto again = Bookmarks::open(file);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), ErrorKind::incompatible);
  EXPECT_TRUE(again.error().sentence().contains("was written by a newer Porthole"));
}

TEST(bookmarks, a_place_where_no_file_can_be_is_an_error) {
  const auto folder = bulkhead::test::temporary_folder();
  std::ofstream{folder / "file"} << "x";
  EXPECT_FALSE(Bookmarks::open(folder / "file" / "bookmarks.sqlite"));
}

TEST(bookmarks, two_portholes_may_use_one_file) {
  const auto file = fresh_file();
  auto first = *Bookmarks::open(file);
  auto second = *Bookmarks::open(file);
  ASSERT_TRUE(first.add("one", "http://a.test/"));
  ASSERT_TRUE(second.add("two", "http://b.test/"));
  EXPECT_EQ(shown(first), "Inside Porthole/, one, two");
}

}  // namespace
}  // namespace porthole

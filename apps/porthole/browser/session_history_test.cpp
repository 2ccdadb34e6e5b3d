// SPDX-License-Identifier: Apache-2.0
#include "browser/session_history.hpp"

#include <gtest/gtest.h>

namespace porthole {
namespace {

TEST(session_history, it_goes_back_and_forward_and_forgets_what_lay_ahead) {
  SessionHistory history;
  EXPECT_TRUE(history.empty());
  EXPECT_FALSE(history.can_back() || history.can_forward());
  for (const auto* url : {"a", "b", "c"}) history.push(url);
  EXPECT_EQ(history.current().url, "c");
  EXPECT_TRUE(history.can_back());
  history.go_to(0, "a");
  EXPECT_FALSE(history.can_back());
  EXPECT_TRUE(history.can_forward());
  history.push("d");
  EXPECT_FALSE(history.can_forward());
  EXPECT_EQ(history.size(), 2U);
  EXPECT_EQ(history.at(0).url, "a");
}

TEST(session_history, each_entry_keeps_its_title_and_place) {
  SessionHistory history;
  history.set_title("of nothing");
  history.push("a");
  history.set_title("A");
  history.set_scroll({.x = 0, .y = 700});
  history.push("b");
  history.set_title("B");
  history.go_to(0, "a");
  EXPECT_EQ(history.current(), (SessionHistory::Entry{"a", "A", {0, 700}}));
  EXPECT_EQ(history.at(1).title, "B");
}

TEST(session_history, the_same_url_again_adds_nothing_and_another_target_replaces) {
  SessionHistory history;
  history.push("a");
  history.set_scroll({.x = 0, .y = 5});
  history.push("a");
  EXPECT_EQ(history.size(), 1U);
  history.go_to(0, "elsewhere");
  EXPECT_EQ(history.current(), (SessionHistory::Entry{"elsewhere", "", {}}));
}

TEST(session_history, it_does_not_grow_for_ever) {
  SessionHistory history;
  for (std::size_t i = 0; i < 2 * SessionHistory::max_entries; ++i) history.push(std::to_string(i));
  EXPECT_EQ(history.size(), SessionHistory::max_entries);
  EXPECT_EQ(history.current().url, std::to_string(2 * SessionHistory::max_entries - 1));
  history.go_to(history.size() + 5, "beyond");
  EXPECT_EQ(history.current().url, "beyond");
}

}  // namespace
}  // namespace porthole

// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/map/words.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead::tools::map {
namespace {

using testing::ElementsAre;

std::vector<std::string> words_of(const std::vector<std::string>& command, const Place& place) {
  return or_throw(CommandTemplate::create(command)).words(place);
}

TEST(map_words, have_the_input_in_every_form) {
  const Place place{.input = "photos/day.one/a.tar.gz", .number = 7, .slot = 2};
  EXPECT_THAT(words_of({"p", "{}", "{.}", "{/}", "{//}", "{/.}", "{#}", "{%}"}, place),
              ElementsAre("p", "photos/day.one/a.tar.gz", "photos/day.one/a.tar", "a.tar.gz",
                          "photos/day.one", "a.tar", "7", "2"));
}

TEST(map_words, have_placeholders_anywhere_in_a_word) {
  EXPECT_THAT(words_of({"convert", "{}", "out/{/.}-{#}.png"}, {.input = "in/a.svg", .number = 3}),
              ElementsAre("convert", "in/a.svg", "out/a-3.png"));
}

TEST(map_words, without_a_place_for_the_input_have_it_at_the_end) {
  EXPECT_THAT(words_of({"gzip", "-9"}, {.input = "a b"}), ElementsAre("gzip", "-9", "a b"));
  EXPECT_THAT(words_of({"echo", "{#}"}, {.input = "x", .number = 5}),
              ElementsAre("echo", "5", "x"));
}

TEST(map_words, of_names_without_folder_or_extension) {
  EXPECT_THAT(words_of({"{//}", "{.}", "{/.}"}, {.input = "name"}),
              ElementsAre(".", "name", "name"));
  EXPECT_THAT(words_of({"{//}", "{.}"}, {.input = "/etc"}), ElementsAre("/", "/etc"));
  EXPECT_THAT(words_of({"{.}", "{/.}"}, {.input = "a.b/.bashrc"}),
              ElementsAre("a.b/.bashrc", ".bashrc"));
  EXPECT_THAT(words_of({"{.}"}, {.input = "a.b/c"}), ElementsAre("a.b/c"));
}

TEST(map_words, take_an_input_as_text_whatever_is_in_it) {
  EXPECT_THAT(words_of({"echo", "{}{}"}, {.input = "{#} $(rm) `x` {}"}),
              ElementsAre("echo", "{#} $(rm) `x` {}{#} $(rm) `x` {}"));
  EXPECT_THAT(words_of({"echo", "{}"}, {.input = ""}), ElementsAre("echo", ""));
}

TEST(map_words, that_only_look_like_placeholders_stay) {
  EXPECT_THAT(words_of({"awk", "{print $1}", "{", "}", "{..}", "{}"}, {.input = "f"}),
              ElementsAre("awk", "{print $1}", "{", "}", "{..}", "f"));
}

TEST(map_words, of_nothing_are_refused) {
  EXPECT_EQ(CommandTemplate::create({}).error().kind(), ErrorKind::invalid);
}

TEST(map_words, name_the_program_unless_the_input_does) {
  EXPECT_EQ(or_throw(CommandTemplate::create({"gzip", "{}"})).program(), "gzip");
  EXPECT_EQ(or_throw(CommandTemplate::create({"./{}"})).program(), "");
  EXPECT_TRUE(or_throw(CommandTemplate::create({"x", "a{%}"})).has_slot());
  EXPECT_FALSE(or_throw(CommandTemplate::create({"x", "a{#}"})).has_slot());
}

TEST(map_words, are_quoted_for_a_shell) {
  EXPECT_EQ(quoted("plain/name-1.png"), "plain/name-1.png");
  EXPECT_EQ(quoted(""), "''");
  EXPECT_EQ(quoted("it's $HOME"), "'it'\\''s $HOME'");
  EXPECT_EQ(quoted("a\nb\x1b[31m'"), "$'a\\nb\\x1b[31m\\''");
  EXPECT_EQ(quoted(std::vector<std::string>{"echo", "a b"}), "echo 'a b'");
}

}  // namespace
}  // namespace bulkhead::tools::map

// SPDX-License-Identifier: Apache-2.0
#include "browser/command_input.hpp"

#include <asio/io_context.hpp>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>
#include <vector>

#include "support/census.hpp"

namespace porthole {
namespace {

using Verb = Command::Verb;
using bulkhead::Fd;

Command parsed(std::string_view line) { return bulkhead::or_throw(parse_command(line)); }
bool refused(std::string_view line) {
  const auto command = parse_command(line);
  return !command && command.error() == bulkhead::ErrorKind::invalid;
}

TEST(command, each_verb_is_read_with_what_it_needs) {
  EXPECT_EQ(parsed("quit").verb, Verb::quit);
  EXPECT_EQ(parsed(" processes \r").verb, Verb::processes);
  EXPECT_EQ(parsed("reload 2").verb, Verb::reload);
  EXPECT_EQ(parsed("reload 2").tab, TabId{2});
  EXPECT_EQ(parsed("back 1").verb, Verb::back);
  EXPECT_EQ(parsed("forward 1").verb, Verb::forward);
  EXPECT_EQ(parsed("end 12").tab, TabId{12});
  EXPECT_EQ(parsed("go 3  http://localhost/a b").argument, "http://localhost/a b");
  EXPECT_EQ(parsed("scroll 1 400").y, 400);
}

TEST(command, a_screenshot_is_of_the_tab_in_front_unless_one_is_named) {
  EXPECT_EQ(parsed("screenshot /tmp/a b.png").argument, "/tmp/a b.png");
  EXPECT_FALSE(parsed("screenshot /tmp/a.png").tab);
  EXPECT_EQ(parsed("screenshot /tmp/a b.png 2").argument, "/tmp/a b.png");
  EXPECT_EQ(parsed("screenshot /tmp/a b.png 2").tab, TabId{2});
  EXPECT_EQ(parsed("screenshot 2").argument, "2") << "a file may be called so";
}

TEST(command, what_is_none_is_refused_in_words) {
  for (const char* line : {"dance", "reload", "reload x", "reload 0", "reload -1", "reload 1 2",
                           "reload 99999999999", "go 1", "screenshot", "scroll 1", "scroll 1 -4",
                           "scroll 1 999999999", "quit now", "Quit"}) {
    EXPECT_TRUE(refused(line)) << line;
  }
  EXPECT_EQ(parse_command("back").error().sentence(), "back: it is called as: back TAB");
}

struct command_input : testing::Test {
  asio::io_context loop;
  std::vector<std::string> lines;
  CommandInput::Line keep = [this](std::string line) { lines.push_back(std::move(line)); };

  std::pair<Fd, Fd> pipe() {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    return {Fd::adopt(ends[0]), Fd::adopt(ends[1])};
  }
  static void write(const Fd& to, std::string_view text) {
    ASSERT_EQ(::write(to.native(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
};

TEST_F(command_input, lines_come_one_by_one_and_the_last_needs_no_end) {
  auto [reading, writing] = pipe();
  write(writing, "processes\n\n  \nreload 1\nqu");
  write(writing, "it");
  writing.close();
  const CommandInput input{loop, reading, keep};
  loop.run();
  EXPECT_EQ(lines, (std::vector<std::string>{"processes", "reload 1", "quit"}));
}

TEST_F(command_input, a_file_is_read_too) {
  const auto path = bulkhead::test::temporary_folder() / "commands";
  std::ofstream(path) << "processes\nquit\n";
  const Fd file = Fd::adopt(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const CommandInput input{loop, file, keep};
  loop.run();
  EXPECT_EQ(lines, (std::vector<std::string>{"processes", "quit"}));
}

TEST_F(command_input, the_descriptor_keeps_its_flags) {
  auto [reading, writing] = pipe();
  write(writing, "quit\n");
  writing.close();
  const int before = ::fcntl(reading.native(), F_GETFL);
  const CommandInput input{loop, reading, keep};
  loop.run();
  EXPECT_EQ(::fcntl(reading.native(), F_GETFL), before);
}

TEST_F(command_input, it_may_be_ended_by_what_it_reads) {
  auto [reading, writing] = pipe();
  write(writing, "quit\nprocesses\n");
  std::optional<CommandInput> input;
  input.emplace(loop, reading, [&](std::string line) {
    lines.push_back(std::move(line));
    input.reset();
  });
  loop.run();
  EXPECT_EQ(lines, std::vector<std::string>{"quit"});
}

TEST_F(command_input, a_line_without_end_is_not_kept_for_ever) {
  auto [reading, writing] = pipe();
  const std::string much(60'000, 'x');
  const CommandInput input{loop, reading, keep};
  write(writing, much);
  loop.poll();
  for (int i = 0; i < 20; ++i) loop.poll();
  write(writing, much);
  loop.run();  // returns: it has stopped to read
  EXPECT_TRUE(lines.empty());
}

}  // namespace
}  // namespace porthole

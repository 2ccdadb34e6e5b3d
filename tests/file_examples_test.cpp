// SPDX-License-Identifier: Apache-2.0
// The examples of file: and mmap: as a user has them: run as programs, one after the other.
#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>
#include <vector>

#include "support/census.hpp"
#include "support/children.hpp"

namespace {

using bulkhead::test::Child;

std::string run(const std::string& program, const std::vector<std::string>& arguments) {
  auto child = Child::start(program, arguments);
  std::string said = child.read_all();
  EXPECT_EQ(child.wait(), 0) << program << ' ' << arguments.front() << " said: " << said;
  return said;
}

TEST(file_examples, give_each_reader_of_a_log_what_it_has_not_seen_yet) {
  const std::string folder = (bulkhead::test::temporary_folder() / "events").string();
  run("file_log", {"append", folder, "disk replaced"});
  run("file_log", {"append", folder, "disk full"});
  EXPECT_EQ(run("file_log", {"read", folder, "billing"}), "disk replaced\ndisk full\n");
  run("file_log", {"append", folder, "room again"});
  EXPECT_EQ(run("file_log", {"read", folder, "billing"}), "room again\n");
  EXPECT_EQ(run("file_log", {"read", folder, "billing"}), "");
  EXPECT_EQ(run("file_log", {"read", folder, "audit"}), "disk replaced\ndisk full\nroom again\n");
}

TEST(file_examples, keep_what_a_probe_measured_until_somebody_evaluates_it) {
  const std::string folder = (bulkhead::test::temporary_folder() / "probe").string();
  run("mapped_file", {"measure", folder, "21.5"});
  run("mapped_file", {"measure", folder, "22"});
  EXPECT_EQ(run("mapped_file", {"evaluate", folder}), "21.5\n22\n");
  EXPECT_EQ(run("mapped_file", {"evaluate", folder}), "");
  run("mapped_file", {"measure", folder, "23"});
  EXPECT_EQ(run("mapped_file", {"evaluate", folder}), "23\n");
}

TEST(file_examples, carry_letters_both_ways_between_programs_that_never_meet) {
  const std::string folder = (bulkhead::test::temporary_folder() / "desk").string();
  EXPECT_EQ(run("file_letters", {"order", folder, "three chairs"}), "");
  EXPECT_EQ(run("file_letters", {"order", folder, "a table"}), "");
  EXPECT_EQ(run("file_letters", {"work", folder}), "");
  EXPECT_EQ(run("file_letters", {"order", folder, "a lamp"}),
            "made: three chairs\nmade: a table\n");
  EXPECT_EQ(run("file_letters", {"work", folder}), "");
  EXPECT_EQ(run("file_letters", {"order", folder, "nothing more"}), "made: a lamp\n");
  // Each way is a log as any other: who has a cursor of its own reads it too.
  EXPECT_EQ(run("file_log", {"read", folder + "/listen", "audit"}),
            "made: three chairs\nmade: a table\nmade: a lamp\n");
}

}  // namespace

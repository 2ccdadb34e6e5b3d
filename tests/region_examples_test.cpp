// SPDX-License-Identifier: Apache-2.0
// examples/what_if.cpp and examples/visitors.cpp as their users start them.
#include <csignal>
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bulkhead/names.hpp>
#include <bulkhead/result.hpp>

#include "support/census.hpp"
#include "support/children.hpp"

namespace {

using bulkhead::test::Child;

TEST(private_mapping_example, tells_what_if_and_leaves_the_file_as_it_was) {
  const auto file = (bulkhead::test::temporary_folder() / "readings").string();
  auto make = Child::start("what_if", {"make", file, "7000"});
  EXPECT_EQ(make.wait(), 0);
  for (int time = 0; time < 2; ++time) {
    auto warmer = Child::start("what_if", {"warmer", file, "0.5"});
    EXPECT_EQ(warmer.read_line(), "mean 13, if warmer 13.5");
    EXPECT_EQ(warmer.wait(), 0);
  }
}

TEST(shared_object_example, is_found_by_all_and_goes_with_the_last) {
  const std::string name = "visitors-" + std::to_string(::getpid());
  {
    auto anna = Child::start("visitors", {"anna", name});
    EXPECT_EQ(anna.read_line(), "anna is visitor 1");
    auto bert = Child::start("visitors", {"bert", name});
    EXPECT_EQ(bert.read_line(), "bert is visitor 2, after anna");
    ::kill(anna.pid(), SIGKILL);
    anna.wait();
    auto carl = Child::start("visitors", {"carl", name});
    EXPECT_EQ(carl.read_line(), "carl is visitor 3, after bert");
    carl.close_input();
    EXPECT_EQ(carl.wait(), 0);
    bert.close_input();
    EXPECT_EQ(bert.wait(), 0);
  }
  EXPECT_FALSE(std::filesystem::exists("/dev/shm/" + name));
  EXPECT_TRUE(bulkhead::remove_stale_names());  // what is left of anna: a note
}

}  // namespace

// SPDX-License-Identifier: Apache-2.0
// examples/shared_memory.cpp as two processes of its user's.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/census.hpp"
#include "support/children.hpp"

namespace {

using bulkhead::test::Child;

TEST(memory_example, shows_every_frame_of_the_camera_where_it_lies) {
  auto camera = Child::start("shared_memory", {"camera", "shm:camera", "100"});
  ASSERT_EQ(camera.read_line(), "ready");
  auto viewer = Child::start("shared_memory", {"viewer", "shm:camera"});
  EXPECT_EQ(viewer.read_line(), "100 frames, the brightest 99");
  EXPECT_EQ(viewer.wait(), 0);
  EXPECT_EQ(camera.wait(), 0);
}

TEST(memory_example, refuses_a_mechanism_that_copies) {
  const std::string address = "unix://" + bulkhead::test::temporary_folder().string() + "/camera";
  auto camera = Child::start("shared_memory", {"camera", address, "1"});
  EXPECT_EQ(camera.read_line(), "");
  const int status = camera.wait();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

}  // namespace

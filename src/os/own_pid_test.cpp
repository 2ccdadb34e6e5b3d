// SPDX-License-Identifier: Apache-2.0
#include "os/own_pid.hpp"

#include <csignal>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using bulkhead::os::own_pid;

TEST(own_pid, is_that_of_each_copy_however_it_was_forked) {
  EXPECT_EQ(own_pid(), ::getpid());
  for (const bool by_library : {true, false}) {
    const auto child =
        by_library ? ::fork() : static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    if (child == 0) {
      const auto number = static_cast<pid_t>(::syscall(SYS_getpid));
      ::_exit(own_pid() == number && own_pid() == number ? 7 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 7);
    EXPECT_EQ(own_pid(), ::getpid());
  }
}

}  // namespace

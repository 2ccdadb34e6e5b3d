// SPDX-License-Identifier: Apache-2.0
#include "os/pidfd.hpp"

#include <cerrno>
#include <csignal>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include "os/poll.hpp"

namespace bulkhead::os {
namespace {

struct Running {
  pid_t pid = -1;
  Fd pidfd;
};

/// A child that does `act` and, should that return, waits for a signal.
template <class Act> Running start(Act act) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    act();
    for (;;) ::pause();
  }
  return {pid, Fd::adopt(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)))};
}

void wait_for_the_end(const Running& child) {
  ASSERT_EQ(or_throw(poll_one(child.pidfd, POLLIN, never)), POLLIN);
}

TEST(pidfd, of_a_running_process_has_no_ending) {
  const auto child = start([] {});
  EXPECT_FALSE(ending(child.pidfd));
  ASSERT_TRUE(send_signal(child.pidfd, SIGKILL));
  wait_for_the_end(child);
  reap(child.pidfd);
}

TEST(pidfd, tells_the_exit_code_and_leaves_the_process_to_be_reaped) {
  const auto child = start([] { ::_exit(7); });
  wait_for_the_end(child);
  for (int again = 0; again < 2; ++again) {
    const auto end = ending(child.pidfd);
    ASSERT_TRUE(end);
    EXPECT_EQ(end->kind, Ending::Kind::exited);
    EXPECT_EQ(end->number, 7);
  }
  reap(child.pidfd);
  EXPECT_EQ(::waitpid(child.pid, nullptr, WNOHANG), -1);
  reap(child.pidfd);  // again: nothing happens
}

TEST(pidfd, tells_the_signal) {
  const auto child = start([] { ::raise(SIGKILL); });
  wait_for_the_end(child);
  const auto end = ending(child.pidfd);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->kind, Ending::Kind::signalled);
  EXPECT_EQ(end->number, SIGKILL);
  reap(child.pidfd);
}

TEST(pidfd, of_a_process_that_somebody_else_reaped_tells_it_or_says_so) {
  const auto child = start([] { ::_exit(7); });
  wait_for_the_end(child);
  ASSERT_EQ(::waitpid(child.pid, nullptr, 0), child.pid);
  const auto end = ending(child.pidfd);
  ASSERT_TRUE(end);
  if (end->kind == Ending::Kind::exited) {
    EXPECT_EQ(end->number, 7);  // Linux 6.15 and later
  } else {
    EXPECT_EQ(end->kind, Ending::Kind::taken);
  }
}

TEST(pidfd, does_not_reap_what_still_runs) {
  const auto child = start([] {});
  reap(child.pidfd);
  EXPECT_EQ(::kill(child.pid, 0), 0);
  ASSERT_TRUE(send_signal(child.pidfd, SIGKILL));
  wait_for_the_end(child);
  reap(child.pidfd);
}

TEST(pidfd, signals_no_process_that_has_ended) {
  const auto child = start([] { ::_exit(0); });
  wait_for_the_end(child);
  reap(child.pidfd);
  const auto refused = send_signal(child.pidfd, SIGKILL);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), ErrorKind::peer_died);
}

}  // namespace
}  // namespace bulkhead::os

// SPDX-License-Identifier: Apache-2.0
//
// The tests of the tests: the census sees each kind of leak, the watchdog ends and names a test
// that hangs, a Child runs, answers and is gone. The DISABLED_ ones misbehave on purpose and are
// run by the others.
#include <cstdio>
#include <fcntl.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <latch>
#include <string>
#include <sys/msg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "support/census.hpp"
#include "support/children.hpp"
#include "support/watchdog.hpp"

namespace bulkhead::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(census, names_a_descriptor_that_is_left) {
  Census before = Census::take();
  int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_THAT(before.left_behind(Census::take()), Contains(HasSubstr("-> /dev/null")));
  close(fd);
  EXPECT_THAT(before.settle(std::chrono::seconds{20}), IsEmpty());
}

TEST(census, names_a_zombie_that_nobody_reaped) {
  Census before = Census::take();
  pid_t pid = fork();
  if (pid == 0) _exit(0);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  EXPECT_THAT(before.left_behind(Census::take()), Contains(HasSubstr(std::to_string(pid))));
  ASSERT_EQ(waitpid(pid, nullptr, 0), pid);
  EXPECT_THAT(before.settle(std::chrono::seconds{20}), IsEmpty());
}

TEST(census, names_a_grandchild_whose_parent_has_gone) {
  if (getsid(0) != getpid()) GTEST_SKIP() << "started by a shell: no session of our own";
  Census before = Census::take();
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  pid_t parent = fork();
  if (parent == 0) {
    if (fork() == 0) {
      char byte = 0;
      close(fds[1]);
      (void)!read(fds[0], &byte, 1);  // until the test closes its end
    }
    _exit(0);
  }
  ASSERT_EQ(waitpid(parent, nullptr, 0), parent);
  EXPECT_THAT(before.left_behind(Census::take()), Contains(HasSubstr("process ")));
  close(fds[0]);
  close(fds[1]);
  EXPECT_THAT(before.settle(std::chrono::seconds{20}), IsEmpty());
}

TEST(census, names_a_thread_that_still_runs) {
  Census before = Census::take();
  std::latch done{1};
  std::thread thread{[&] { done.wait(); }};
  EXPECT_THAT(before.left_behind(Census::take()), Contains(HasSubstr("thread ")));
  done.count_down();
  thread.join();
  EXPECT_THAT(before.settle(std::chrono::seconds{20}), IsEmpty());
}

TEST(census, names_a_file_in_the_runtime_directory_and_in_the_temporary_one) {
  for (const char* variable : {"XDG_RUNTIME_DIR", "TMPDIR"}) {
    Census before = Census::take();
    std::string path = std::string{std::getenv(variable)} + "/forgotten";
    std::ofstream{path} << "x";
    EXPECT_THAT(before.left_behind(Census::take()), Contains(HasSubstr(path)));
    unlink(path.c_str());
    EXPECT_THAT(before.settle(std::chrono::seconds{20}), IsEmpty());
  }
}

TEST(census, names_a_message_queue_that_is_left) {
  const int queue = msgget(IPC_PRIVATE, 0600);
  if (queue < 0) GTEST_SKIP() << "no System V message queues here";
  Census before = Census::take();
  const struct {
    long type;
    char text;
  } message{1, 'x'};
  ASSERT_EQ(msgsnd(queue, &message, 1, IPC_NOWAIT), 0);
  EXPECT_THAT(before.left_behind(Census::take()), Contains(HasSubstr("System V message queue")));
  msgctl(queue, IPC_RMID, nullptr);
  EXPECT_THAT(before.settle(std::chrono::seconds{20}), IsEmpty());
}

TEST(census, names_a_fifo_in_the_runtime_directory) {
  Census before = Census::take();
  const std::string path = std::string{std::getenv("XDG_RUNTIME_DIR")} + "/forgotten-fifo";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(before.left_behind(Census::take()), Contains(HasSubstr(path)));
  unlink(path.c_str());
}

TEST(census, names_what_is_left_in_shared_memory) {
  Census before = Census::take();
  std::string path = "/dev/shm/bulkhead-census-" + std::to_string(getpid());
  std::ofstream{path} << "x";
  EXPECT_THAT(before.settle(std::chrono::milliseconds{0}), Contains(HasSubstr(path)));
  unlink(path.c_str());
  EXPECT_THAT(before.settle(std::chrono::seconds{20}), IsEmpty());
}

TEST(census, removes_the_folder_given_to_a_test) {
  Census before = Census::take();
  std::ofstream{temporary_folder() / "file"} << "x";
  EXPECT_THAT(before.left_behind(Census::take()), Contains(HasSubstr("/file")));
  remove_temporary_folders();
  EXPECT_THAT(before.settle(std::chrono::seconds{20}), IsEmpty());
}

/// Runs one misbehaving test of this binary; its whole output and then its status.
std::string run_misbehaving(const std::string& name) {
  std::string command = "ulimit -c 0; BULKHEAD_TEST_LIMIT_S=1 '" + program_path("support_tests") +
                        "' --gtest_also_run_disabled_tests --gtest_filter=misbehaving." + name +
                        " 2>&1; echo status $?";
  std::string output;
  FILE* pipe = popen(command.c_str(), "re");
  for (int next = 0; pipe && (next = std::fgetc(pipe)) != EOF;) output += static_cast<char>(next);
  if (pipe) pclose(pipe);
  return output;
}

int leaked = -1;

TEST(misbehaving, DISABLED_leaks_a_descriptor) { leaked = open("/dev/zero", O_RDONLY | O_CLOEXEC); }

TEST(misbehaving, DISABLED_hangs) {
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  Waiting waiting{"a byte that nobody sends"};
  char byte = 0;
  (void)!read(fds[0], &byte, 1);
}

TEST(census, fails_the_test_that_leaks) {
  EXPECT_THAT(run_misbehaving("DISABLED_leaks_a_descriptor"),
              AllOf(HasSubstr("left behind: descriptor"), HasSubstr("-> /dev/zero"),
                    HasSubstr("status 1")));
}

TEST(watchdog, ends_a_test_that_hangs_and_says_what_it_waited_for) {
  EXPECT_THAT(run_misbehaving("DISABLED_hangs"),
              AllOf(HasSubstr("WATCHDOG: misbehaving.DISABLED_hangs"),
                    HasSubstr("waiting for: a byte that nobody sends"), HasSubstr("thread "),
                    HasSubstr("status 134")));
}

TEST(child, reads_its_input_and_answers) {
  Child child = Child::start("echo_lines");
  ASSERT_TRUE(child.write("one\ntwo\n"));
  EXPECT_EQ(child.read_line(), "one");
  EXPECT_EQ(child.read_line(), "two");
  child.close_input();
  EXPECT_EQ(child.read_all(), "");
  EXPECT_EQ(child.wait(), 0);
}

TEST(child, is_killed_and_reaped_when_it_goes_out_of_scope) {
  pid_t pid = -1;
  {
    Child child = Child::start("echo_lines");
    pid = child.pid();
  }
  EXPECT_EQ(kill(pid, 0), -1);
}

}  // namespace
}  // namespace bulkhead::test

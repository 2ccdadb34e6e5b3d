// SPDX-License-Identifier: Apache-2.0
//
// `bulkhead map` as a user runs it, with real programs.
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sstream>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <bulkhead/fd.hpp>

#include "support/census.hpp"
#include "support/children.hpp"
#include "support/soak.hpp"
#include "support/watchdog.hpp"

namespace {

using bulkhead::Fd;
using bulkhead::test::Child;
using testing::HasSubstr;
using testing::Not;

struct Outcome {
  int status = -1;  // 128 + signal for one that a signal ended
  std::string output;
  std::string error;
};

std::string text_of(const std::string& path) {
  std::ostringstream all;
  all << std::ifstream{path}.rdbuf();
  return all.str();
}

/// A named pipe through which a command says its process id.
class PidPipe {
 public:
  explicit PidPipe(std::string path) : path_(std::move(path)) {
    if (::mkfifo(path_.c_str(), 0600) != 0) ADD_FAILURE() << "no named pipe at " << path_;
  }
  const std::string& path() const { return path_; }
  /// Waits for a command that says it.
  pid_t read() const {
    pid_t pid = 0;
    std::ifstream{path_} >> pid;
    return pid;
  }

 private:
  std::string path_;
};

void await_end(pid_t pid) {
  const Fd process = Fd::adopt(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  pollfd entry{.fd = process.native(), .events = POLLIN, .revents = 0};
  if (process && ::poll(&entry, 1, -1) != 1) ADD_FAILURE() << "cannot wait for " << pid;
}

class map : public testing::Test {
 protected:
  void SetUp() override {
    if (::access(bulkhead::test::program_path("bulkhead").c_str(), X_OK) != 0) {
      GTEST_SKIP() << "the command is not part of this build";
    }
  }

  Child start(std::vector<std::string> arguments) {
    error_ = Fd::adopt(::memfd_create("standard error", MFD_CLOEXEC));
    arguments.insert(arguments.begin(), "map");
    return Child::start("bulkhead", arguments, {}, error_);
  }

  Outcome finish(Child& child) {
    const auto waiting = bulkhead::test::waiting_for("bulkhead map");
    child.close_input();
    Outcome outcome;
    outcome.output = child.read_all();
    const int status = child.wait();
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    outcome.error.resize(static_cast<std::size_t>(::lseek(error_.native(), 0, SEEK_END)));
    EXPECT_EQ(::pread(error_.native(), outcome.error.data(), outcome.error.size(), 0),
              static_cast<ssize_t>(outcome.error.size()));
    return outcome;
  }

  Outcome run(std::vector<std::string> arguments, const std::string& input = {}) {
    Child child = start(std::move(arguments));
    if (!input.empty() && !child.write(input)) ADD_FAILURE() << "map did not read its input";
    return finish(child);
  }

  static std::string file(const std::string& name) {
    return (bulkhead::test::temporary_folder() / name).string();
  }

 private:
  Fd error_;
};

std::string lines(int from, int to) {
  std::string text;
  for (int i = from; i <= to; ++i) text += std::to_string(i) + "\n";
  return text;
}

TEST_F(map, runs_a_command_for_each_input) {
  const auto done = run({"-j2", "echo", "-n", "{#}:{};", ":::", "a b", "$(id)", "'"});
  EXPECT_EQ(done.output, "1:a b;2:$(id);3:';");
  EXPECT_EQ(done.error, "");
  EXPECT_EQ(done.status, 0);
}

TEST_F(map, reads_inputs_from_lines_from_a_file_and_between_zeros) {
  EXPECT_EQ(run({"echo"}, "one\n\ntwo words\nlast").output, "one\ntwo words\nlast\n");
  EXPECT_EQ(run({"-0", "--", "echo"}, std::string{"a\nb\0c\0", 6}).output, "a\nb\nc\n");
  const std::string inputs = file("inputs");
  std::ofstream{inputs} << "x\ny\n";
  EXPECT_EQ(run({"-a", inputs, "echo"}).output, "x\ny\n");
  EXPECT_EQ(run({"echo", "::::", inputs}).output, "x\ny\n");
  EXPECT_EQ(run({"echo", ":::"}).output, "");
}

TEST_F(map, begins_before_it_has_all_inputs) {
  Child child = start({"echo"});
  for (const char* line : {"first", "second"}) {
    ASSERT_TRUE(child.write(std::string{line} + "\n"));
    const auto waiting = bulkhead::test::waiting_for("the output of an input");
    EXPECT_EQ(child.read_line(), line);
  }
  EXPECT_EQ(finish(child).status, 0);
}

TEST_F(map, gives_output_out_in_the_order_of_the_inputs) {
  // The first ends last: it waits for what the last has made.
  const std::string made = file("made");
  const std::string script = "[ $1 = 1 ] && until [ -e " + made +
                             " ]; do sleep 0.01; done; [ $1 = 4 ] && touch " + made +
                             "; echo out $1; echo err $1 >&2";
  const auto done = run({"-j4", "sh", "-c", script, "x", "{}", ":::", "1", "2", "3", "4"});
  EXPECT_EQ(done.output, "out 1\nout 2\nout 3\nout 4\n");
  EXPECT_EQ(done.error, "err 1\nerr 2\nerr 3\nerr 4\n");
}

TEST_F(map, gives_output_out_as_commands_end_when_asked) {
  // The first ends after map has seen the end of the second.
  const PidPipe second{file("second")};
  const std::string script = "[ $1 = 1 ] && read pid <" + second.path() +
                             " && while kill -0 $pid 2>&-; do sleep 0.01; done; "
                             "[ $1 = 2 ] && echo $$ >" +
                             second.path() + "; echo begin $1; echo end $1";
  const auto done = run({"-j2", "--unordered", "sh", "-c", script, "x", "{}", ":::", "1", "2"});
  EXPECT_EQ(done.output, "begin 2\nend 2\nbegin 1\nend 1\n");
}

TEST_F(map, loses_no_output_however_much_it_is) {
  const std::string script = "yes $1 | head -c 3000000";
  const auto done = run({"-j3", "sh", "-c", script, "x", "{}", ":::", "1", "2", "3", "4", "5"});
  ASSERT_EQ(done.output.size(), 15'000'000U);
  for (std::size_t i = 0; i < done.output.size(); i += 2) {
    ASSERT_EQ(done.output[i], static_cast<char>('1' + i / 3'000'000)) << i;
  }
}

TEST_F(map, names_what_failed_with_its_cause_and_goes_on) {
  const auto done =
      run({"-j2", "--timeout", "300ms", "sh", "-c",
           "case $0 in 1) kill -SEGV $$;; 2) sleep 60;; 3) exit 3;; *) echo $0;; esac", ":::", "1",
           "2", "3", "four", "five"});
  EXPECT_EQ(done.output, "four\nfive\n");
  EXPECT_THAT(done.error, HasSubstr("bulkhead map: 1: sh: SIGSEGV\n"));
  EXPECT_THAT(done.error, HasSubstr("bulkhead map: 2: sh: resource limit: 300 ms of time\n"));
  EXPECT_THAT(done.error, HasSubstr("bulkhead map: 3: sh: exit code 3\n"));
  EXPECT_EQ(done.status, 3);
}

TEST_F(map, kills_what_does_not_end_when_asked_to) {
  // With its children: the group goes.
  const PidPipe stubborn{file("stubborn")};
  pid_t child = 0;
  std::jthread reader{[&] { child = stubborn.read(); }};
  const auto done = run({"--timeout", "200ms", "--kill-after", "50ms", "sh", "-c",
                         "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >" + stubborn.path() +
                             "; exec sleep 60' & wait; sleep 60",
                         ":::", "1"});
  EXPECT_EQ(done.status, 1);
  const auto waiting = bulkhead::test::waiting_for("the child of what was killed to be gone");
  reader.join();
  await_end(child);
}

TEST_F(map, tries_again_what_failed) {
  const std::string tried = file("tried");
  const auto done =
      run({"--retries", "2", "sh", "-c",
           "echo attempt; echo x >>" + tried + "; [ $(wc -l <" + tried + ") = 3 ]", ":::", "1"});
  EXPECT_EQ(done.status, 0);
  EXPECT_EQ(done.output, "attempt\n") << "the output of an attempt that failed counts for nothing";
  EXPECT_EQ(text_of(tried), "x\nx\nx\n");
  EXPECT_EQ(run({"--retries", "2", "false", ":::", "1"}).status, 1);
}

TEST_F(map, counts_failures_in_its_exit_status) {
  EXPECT_EQ(run({"false"}, lines(1, 100)).status, 100);
  EXPECT_EQ(run({"false"}, lines(1, 150)).status, 101);
}

TEST_F(map, halts_when_asked_to) {
  const std::string log = file("halted");
  auto done = run({"-j1", "--joblog", log, "--halt", "soon,fail=2", "sh", "-c", "exit $0"},
                  "0\n1\n0\n1\n0\n0\n");
  EXPECT_EQ(done.status, 2);
  const std::string kept = text_of(log);
  EXPECT_EQ(std::count(kept.begin(), kept.end(), '\n'), 5);
  done = run({"-j2", "--halt", "now,success=1", "sh", "-c", "[ $0 = 1 ] && exec sleep 60; true",
              ":::", "1", "2"});
  EXPECT_EQ(done.status, 0);
}

TEST_F(map, goes_on_where_it_was) {
  const std::string log = file("log");
  EXPECT_EQ(run({"--joblog", log, "sh", "-c", "exit $0", ":::", "0", "1"}).status, 1);
  const auto resumed = [&](const char* how) {
    return run({"--joblog", log, how, "sh", "-c", "echo ran $0; exit $0", ":::", "0", "1", "2"});
  };
  EXPECT_EQ(run({"--joblog", log, "--resume", "true", ":::", "0"}).status, 255);
  std::filesystem::remove(log);
  EXPECT_EQ(run({"--joblog", log, "sh", "-c", "echo ran $0; exit $0", ":::", "0", "1"}).status, 1);
  EXPECT_EQ(resumed("--resume").output, "ran 2\n");
  EXPECT_EQ(resumed("--resume-failed").output, "ran 1\nran 2\n");
  EXPECT_EQ(run({"--resume", "true", ":::", "1"}).status, 255) << "there is no log";
}

TEST_F(map, has_its_job_log_to_itself) {
  const std::string log = file("shared-log");
  const PidPipe begun{file("holder")};
  Child child = start(
      {"--joblog", log, "sh", "-c", "echo $$ >" + begun.path() + "; exec sleep 60", ":::", "1"});
  const auto waiting = bulkhead::test::waiting_for("the first run to begin");
  begun.read();
  const auto second = run({"--joblog", log, "true", ":::", "1"});
  EXPECT_EQ(second.status, 255);
  EXPECT_THAT(second.error, HasSubstr("another run is writing this log"));
  child.kill();
  child.wait();
  EXPECT_EQ(run({"--joblog", log, "true", ":::", "1"}).status, 0);
}

TEST_F(map, killed_at_any_moment_is_resumed_without_loss) {
  const std::string log = file("killed");
  const std::string made = file("made-by-all");
  const int inputs = 60;
  const int kills = bulkhead::test::soaked(12);
  const std::vector<std::string> again{
      "-j3", "--joblog", log, "--resume", "sh", "-c", "echo {} >>" + made + "; echo {}"};
  std::string output;
  for (int i = 0; i < kills; ++i) {
    Child child = start(again);
    ASSERT_TRUE(child.write(lines(1, inputs)));
    child.close_input();
    const auto waiting = bulkhead::test::waiting_for("a line of output");
    for (int line = 0; line < i % 4; ++line) child.read_line();
    child.kill();
    child.wait();
  }
  const auto done = run(again, lines(1, inputs));
  EXPECT_EQ(done.status, 0) << done.error;
  const std::string all = text_of(made);
  const std::string kept = text_of(log);
  for (int i = 1; i <= inputs; ++i) {
    EXPECT_THAT("\n" + all, HasSubstr("\n" + std::to_string(i) + "\n"));
    EXPECT_THAT(kept, HasSubstr("\n" + std::to_string(i) + "\t:"));
  }
}

TEST_F(map, killed_takes_its_commands_with_it) {
  const PidPipe orphan{file("orphan")};
  Child child = start({"sh", "-c", "echo $$ >" + orphan.path() + "; exec sleep 60", ":::", "1"});
  const auto waiting = bulkhead::test::waiting_for("the command to begin, and to end with map");
  const pid_t pid = orphan.read();
  child.kill();
  child.wait();
  await_end(pid);
}

TEST_F(map, interrupted_ends_its_commands_and_dies_of_the_signal) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const PidPipe begun{file("begun")};
    Child child =
        start({"-j1", "sh", "-c", "echo $$ >" + begun.path() + "; exec sleep 60", ":::", "1", "2"});
    const auto waiting = bulkhead::test::waiting_for("the command to begin");
    const pid_t pid = begun.read();
    ::kill(child.pid(), signal);
    EXPECT_EQ(finish(child).status, 128 + signal);
    EXPECT_NE(::kill(pid, 0), 0);
  }
}

TEST_F(map, ends_with_the_reader_of_its_output) {
  Child child = start({"echo"});
  const auto waiting = bulkhead::test::waiting_for("map to end although inputs would go on");
  ASSERT_TRUE(child.write("1\n"));
  EXPECT_EQ(child.read_line(), "1");
  child.close_output();
  while (child.write("more\n")) {
  }
  const int status = child.wait();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
}

TEST_F(map, without_a_program_runs_nothing) {
  auto done = run({"there-is-no-such-program", ":::", "1", "2"});
  EXPECT_EQ(done.status, 127);
  EXPECT_THAT(done.error, HasSubstr("there is no such program"));
  done = run({"gzip -9", ":::", "1"});
  EXPECT_EQ(done.status, 127);
  EXPECT_THAT(done.error, HasSubstr("no shell reads the command"));
  // Where the input names it, only that one fails.
  done = run({"{}", ":::", "/no/such", "/bin/true"});
  EXPECT_EQ(done.status, 1);
}

TEST_F(map, told_nonsense_says_what_is_wrong) {
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{},
                                             {":::", "1"},
                                             {"-j0", "true", ":::", "1"},
                                             {"-j", "many", "true", ":::", "1"},
                                             {"--timeout", "soon", "true", ":::", "1"},
                                             {"--timeout", "0", "true", ":::", "1"},
                                             {"--halt", "maybe", "true", ":::", "1"},
                                             {"--resume", "true", ":::", "1"},
                                             {"-a", file("not there"), "true"},
                                             {"-a", "x", "true", ":::", "1"},
                                             {"true", ":::", "1", ":::", "2"},
                                             {"true", "::::", "1", "2"}}) {
    const auto done = run(wrong);
    EXPECT_EQ(done.status, 255) << testing::PrintToString(wrong);
    EXPECT_THAT(done.error, testing::StartsWith("bulkhead map: ")) << testing::PrintToString(wrong);
  }
}

TEST_F(map, refuses_an_input_that_no_argument_can_be) {
  const auto done = run({"true"}, "short\n" + std::string(200'000, 'x') + "\n");
  EXPECT_EQ(done.status, 255);
  EXPECT_THAT(done.error, HasSubstr("longer than the 128 KiB"));
}

TEST_F(map, shows_no_control_characters_of_an_input) {
  const auto done = run({"false", ":::", "evil\x1b[2J"});
  EXPECT_THAT(done.error, HasSubstr("$'evil\\x1b[2J'"));
  EXPECT_THAT(done.error, Not(HasSubstr("\x1b")));
}

TEST_F(map, prints_commands_instead_of_running_them) {
  const auto done = run({"--dry-run", "rm", "{.}.o", ":::", "a b.c", "d.c"});
  EXPECT_EQ(done.output, "rm 'a b.o'\nrm d.o\n");
}

TEST_F(map, gives_commands_neither_its_input_nor_its_descriptors) {
  const std::string count = "cat; ls /proc/self/fd | wc -l";
  // Those that whoever started us left open go to any program.
  FILE* const plain = ::popen(("(" + count + ") </dev/null").c_str(), "re");
  ASSERT_NE(plain, nullptr);
  int expected = 0;
  EXPECT_EQ(std::fscanf(plain, "%d", &expected), 1);
  ::pclose(plain);
  const auto done = run({"-j2", "sh", "-c", count, ":::", "1"}, "mine");
  EXPECT_EQ(done.output, std::to_string(expected) + "\n");
}

TEST_F(map, runs_thousands) {
  const auto done = run({"-j4", "echo"}, lines(1, 2000));
  EXPECT_EQ(done.output, lines(1, 2000));
}

}  // namespace

// SPDX-License-Identifier: Apache-2.0
// Spawns a role that BULKHEAD_DEBUG names. Prints the child's pid, as the child says it on standard
// error; attaches to it as a debugger does when told to on standard input; prints how it ended.
#include <cstdlib>
#include <fcntl.h>
#include <iostream>
#include <string>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <bulkhead/process.hpp>

static void role(bulkhead::Bootstrap&) {}

int main(int argc, char** argv) {
  using namespace std::chrono_literals;
  ::setenv("BULKHEAD_DEBUG", "other,role", 1);
  int ends[2];
  const int standard_error = ::fcntl(2, F_DUPFD_CLOEXEC, 10);
  if (argc < 2) {  // the parent: the child's standard error leads here
    if (::pipe2(ends, O_CLOEXEC) != 0 || ::dup2(ends[1], 2) < 0) return 1;
  }
  bulkhead::init(argc, argv);
  std::thread debugger{[&] {
    std::string line;  // "role (4711) waits for a debugger: gdb -p 4711"
    for (char c = 0; ::read(ends[0], &c, 1) == 1 && c != '\n';) line += c;
    ::dup2(standard_error, 2);
    const pid_t pid = std::atoi(line.c_str() + line.find('(') + 1);
    std::cout << pid << std::endl;
    std::getline(std::cin, line);
    ::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr);
    int status = 0;
    while (::waitpid(pid, &status, __WALL) == pid && !WIFEXITED(status) && !WIFSIGNALED(status)) {
      ::ptrace(PTRACE_CONT, pid, nullptr, nullptr);
    }
  }};
  auto child = bulkhead::or_exit(bulkhead::spawn<role>());
  std::cout << "began: " << bulkhead::or_exit(child.wait(30s)) << std::endl;
  debugger.join();
}

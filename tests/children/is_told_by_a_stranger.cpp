// SPDX-License-Identifier: Apache-2.0
// As the superuser: runs itself as a child, with a bootstrap socket that another user made; prints
// the exit code.
#include <fcntl.h>
#include <iostream>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bulkhead/process.hpp>

int main(int argc, char** argv) {
  bulkhead::init(argc, argv);
  int ends[2];
  if (::seteuid(65534) != 0 || ::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0) return 1;
  if (::seteuid(0) != 0) return 1;
  const pid_t pid = ::fork();
  if (pid == 0) {
    const std::string flag = "--bulkhead-child=" + std::to_string(ends[1]);
    ::execl("/proc/self/exe", argv[0], flag.c_str(), nullptr);
    ::_exit(1);
  }
  ::close(ends[1]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  std::cout << "exit code " << WEXITSTATUS(status) << '\n';
}

// SPDX-License-Identifier: Apache-2.0
// Starts a child that forks and starts a child of its own, and one that tries to stay by closing
// every descriptor it has. Prints their pids in one line, and with an argument that of a forked copy
// of itself, and waits to be killed.
#include <csignal>
#include <iostream>
#include <string>
#include <unistd.h>

#include <bulkhead/process.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

[[noreturn]] void wait_for_ever() {
  for (;;) ::pause();
}

void inner(Bootstrap&) { wait_for_ever(); }

void outer(Bootstrap& boot) {
  const pid_t copy = ::fork();
  if (copy == 0) wait_for_ever();
  Process child = or_exit(spawn<inner>());
  const std::string pids = std::to_string(copy) + " " + std::to_string(child.pid());
  or_exit(boot.channel().send(as_bytes(pids), 10s));
  wait_for_ever();
}

void stubborn(Bootstrap& boot) {
  ::signal(SIGTERM, SIG_IGN);
  or_exit(boot.channel().send(as_bytes("x"), 10s));
  ::close_range(0, ~0u, 0);
  wait_for_ever();
}

}  // namespace

int main(int argc, char** argv) {
  init(argc, argv);
  Process child = or_exit(spawn<outer>());
  Process other = or_exit(spawn<stubborn>());
  const Message pids = or_exit(child.channel().receive(10s));
  or_exit(other.channel().receive(10s));
  std::string copy;
  if (argc > 1) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::close(1);
      wait_for_ever();
    }
    copy = " " + std::to_string(pid);
  }
  std::cout << child.pid() << ' ' << pids.text() << ' ' << other.pid() << copy << std::endl;
  wait_for_ever();
}

// SPDX-License-Identifier: Apache-2.0
//
// Roles that several tests of processes start, and what those tests ask about processes.
#pragma once

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <poll.h>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>

#include <bulkhead/process.hpp>

#include "support/watchdog.hpp"

namespace bulkhead::test {

using namespace std::chrono_literals;

/// Lives until its parent closes the channel.
inline void wait_for_close(Bootstrap& boot) { static_cast<void>(boot.channel().receive(never)); }

inline void say_hello(Bootstrap& boot) {
  or_exit(boot.channel().send(as_bytes("hello from " + boot.name()), 10s));
}

inline void tell_and_wait(Bootstrap& boot) {
  static_cast<void>(boot.channel().send(as_bytes("here"), 10s));  // it may be ended by then
  wait_for_close(boot);
}

inline void ignore_everything(Bootstrap& boot) {
  ::signal(SIGTERM, SIG_IGN);
  or_exit(boot.channel().send(as_bytes("here"), 10s));
  for (;;) ::pause();
}

inline void leave_with_three(Bootstrap&) { std::exit(3); }
inline void return_at_once(Bootstrap&) {}

inline volatile int* volatile nowhere = reinterpret_cast<int*>(0x10);
inline void write_nowhere(Bootstrap&) { *nowhere = 1; }

inline void fork_and_tell(Bootstrap& boot) {
  const pid_t grandchild = ::fork();
  if (grandchild == 0) {
    for (;;) ::pause();
  }
  or_exit(boot.channel().send(as_bytes(std::to_string(grandchild)), 10s));
  wait_for_close(boot);
}

inline std::string message_of(Channel& channel) {
  const Waiting waiting{"a message of the child"};
  auto message = channel.receive(30s);
  return message ? std::string(message->text()) : message.error().sentence();
}

template <auto Role> Exit exit_of(SpawnOptions options = {}) {
  auto child = spawn<Role>(std::move(options));
  if (!child) return child.error().exit() ? *child.error().exit() : Exit{};
  const Waiting waiting{"the child's end"};
  auto exit = child->wait(30s);
  return exit ? *exit : Exit{};
}

inline Fd open_pidfd(pid_t pid) {
  // The header of glibc 2.36 declares the function for C alone.
  return Fd::adopt(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

/// A process that is not our child, by a descriptor of our own: has it gone, within a time?
inline bool goes(pid_t pid) {
  const Waiting waiting{"the end of a process"};
  const auto pidfd = open_pidfd(pid);
  if (!pidfd) return errno == ESRCH;
  pollfd entry{.fd = pidfd.native(), .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, 30'000) == 1;
}

inline bool is_alive(pid_t pid) {
  const auto pidfd = open_pidfd(pid);
  pollfd entry{.fd = pidfd.native(), .events = POLLIN, .revents = 0};
  return pidfd && ::poll(&entry, 1, 0) == 0;
}

inline pid_t number(const std::string& text) { return static_cast<pid_t>(std::atoi(text.c_str())); }

/// Then memory limits mean little, and leak detection does not work under a debugger.
inline bool is_sanitized() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return true;
#else
  return false;
#endif
}

}  // namespace bulkhead::test

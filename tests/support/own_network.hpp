// SPDX-License-Identifier: Apache-2.0
//
// A network of a test's own: a child process in a new network namespace, where nothing but a
// loopback device is, which the test can take down. Only root may make one.
#pragma once

#include <arpa/inet.h>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <iostream>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bulkhead/fd.hpp>

namespace bulkhead::test {

inline constexpr int no_network = 77;

/// The loopback device of this process's namespace. False when the system refuses it.
inline bool set_loopback(bool up) {
  const Fd socket = Fd::adopt(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  if (::ioctl(socket.native(), SIOCGIFFLAGS, &request) != 0) return false;
  request.ifr_flags =
      static_cast<short>(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
  return ::ioctl(socket.native(), SIOCSIFFLAGS, &request) == 0;
}

/// Another address of the loopback device, one that is not of 127/8.
inline bool add_address(const char* address) {
  const Fd socket = Fd::adopt(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo:1");
  auto& four = reinterpret_cast<sockaddr_in&>(request.ifr_addr);
  four.sin_family = AF_INET;
  ::inet_pton(AF_INET, address, &four.sin_addr);
  return ::ioctl(socket.native(), SIOCSIFADDR, &request) == 0;
}

/// Runs `body` in such a child. 0 when it returned without a failed expectation, no_network when
/// the system lets us have none.
inline int in_own_network(const std::function<void()>& body) {
  std::cout.flush();
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(100);  // the watchdog is the parent's alone
    if (::unshare(CLONE_NEWNET) != 0 || !set_loopback(true)) ::_exit(no_network);
    body();
    std::cout.flush();
    ::_exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace bulkhead::test

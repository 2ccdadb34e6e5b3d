// SPDX-License-Identifier: Apache-2.0
//
// A measurement in a process of its own: it may start threads, fill memory and count what its process
// used, and the bench, which forks, stays a process of one thread.
#pragma once

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <exception>
#include <sched.h>
#include <span>
#include <stdexcept>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <vector>

#include "bench/shared_memory.hpp"

namespace bulkhead::bench {

/// Calls `measure` with room for so many figures, in a fork of this process. Throws when it could not
/// measure.
template <class Measure> std::vector<double> apart(std::size_t figures, Measure measure) {
  constexpr unsigned most_seconds = 60;
  const SharedMemory memory{figures * sizeof(double)};
  const std::span<double> into{memory.as<double>(), figures};
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) throw std::system_error{errno, std::generic_category(), "fork"};
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    // Under a real-time policy (chrt) threads that outnumber the CPUs would let nobody tell them to stop.
    const sched_param usual{};
    ::sched_setscheduler(0, SCHED_OTHER, &usual);
    ::alarm(most_seconds);
    try {
      measure(into);
    } catch (const std::exception&) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) throw std::runtime_error{"its process did not end well"};
  return {into.begin(), into.end()};
}

}  // namespace bulkhead::bench

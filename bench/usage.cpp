// SPDX-License-Identifier: Apache-2.0
#include "bench/usage.hpp"

#include <fstream>
#include <linux/perf_event.h>
#include <string>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace bulkhead::bench {

namespace {

/// The number of the trace point, or zero.
std::uint64_t system_call_trace_point() {
  for (const char* root : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
    std::ifstream file{std::string{root} + "/events/raw_syscalls/sys_enter/id"};
    std::uint64_t id = 0;
    if (file >> id) return id;
  }
  return 0;
}

int open_counter() {
  const std::uint64_t id = system_call_trace_point();
  if (id == 0) return -1;
  perf_event_attr attributes{};
  attributes.type = PERF_TYPE_TRACEPOINT;
  attributes.size = sizeof attributes;
  attributes.config = id;
  return static_cast<int>(
      ::syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

/// The precise clock: getrusage's times lag by up to a tick.
std::uint64_t thread_cpu_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace

CallCounter::~CallCounter() {
  if (fd_ >= 0) ::close(fd_);
}

bool CallCounter::available() {
  CallCounter probe;
  return probe.open();
}

bool CallCounter::open() {
  if (fd_ < 0) fd_ = open_counter();
  return fd_ >= 0;
}

std::uint64_t CallCounter::read() {
  std::uint64_t count = 0;
  ++reads_;
  if (fd_ < 0 || ::read(fd_, &count, sizeof count) != static_cast<ssize_t>(sizeof count)) return 0;
  return count - reads_;
}

Usage thread_usage(CallCounter* calls) {
  rusage used{};
  ::getrusage(RUSAGE_THREAD, &used);
  Usage usage;
  usage.switches = static_cast<std::uint64_t>(used.ru_nvcsw + used.ru_nivcsw);
  usage.preempted = static_cast<std::uint64_t>(used.ru_nivcsw);
  usage.cpu_ns = thread_cpu_ns();
  if (calls) usage.calls = calls->read();
  return usage;
}

}  // namespace bulkhead::bench

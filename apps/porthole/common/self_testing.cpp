// SPDX-License-Identifier: Apache-2.0
// Not self_test.cpp: what ends in _test is a test.
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/self_test.hpp"

namespace porthole {
namespace {

using bulkhead::Exit;
using bulkhead::Result;
using Verdict = AttemptResult::Verdict;

// How a process that made an attempt ends: away from what programs, shells and libraries use.
constexpr int code_unknown_attempt = 98;
constexpr int code_allowed = 99;
constexpr int code_first_errno = 100;  // + errno, at most 133

constexpr std::chrono::seconds patience{10};

/// -1 and errno when it was refused.
using Try = long (*)();

template <class Address> long connect_to(int family, const Address& address) {
  const int socket = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return -1;
  const int connected =
      ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  // Under way, or nobody there: the network was reached.
  const bool reached = connected == 0 || errno == EINPROGRESS || errno == ECONNREFUSED;
  return reached ? 0 : -1;
}

long connect_to_the_network() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = ::htons(9);
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  return connect_to(AF_INET, address);
}

long connect_to_a_service() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, "/run/dbus/system_bus_socket");
  return connect_to(AF_UNIX, address);
}

long read_a_file() { return ::open("/etc/passwd", O_RDONLY | O_CLOEXEC); }

long write_a_file() {
  const std::string path = "/tmp/porthole-self-test-" + std::to_string(::getpid());
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file >= 0) ::unlink(path.c_str());
  return file;
}

long list_the_processes() { return ::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC); }

/// Its success is exit code 0, the program's.
long start_a_program() { return ::execl("/bin/true", "true", nullptr); }

long make_a_process() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  return child;
}

/// Seizing does not stop it, and our end lets go of it.
long trace_the_parent() { return ::ptrace(PTRACE_SEIZE, ::getppid(), nullptr, nullptr); }

long read_the_parents_memory() {
  char byte = 0;
  iovec here{&byte, 1};
  iovec there = here;  // readable or not: being allowed to ask is what matters
  const auto read = ::process_vm_readv(::getppid(), &here, 1, &there, 1, 0);
  return read == -1 && errno == EFAULT ? 0 : read;
}

long signal_the_parent() { return ::kill(::getppid(), 0); }

long use_io_uring() {
  io_uring_params parameters{};
  return ::syscall(SYS_io_uring_setup, 1, &parameters);
}

long make_code() {
  constexpr int protection = PROT_READ | PROT_WRITE | PROT_EXEC;
  void* const page = ::mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return page == MAP_FAILED ? -1 : 0;
}

struct Trial {
  Attempt attempt;
  Try run;
};

constexpr std::array trials{
    Trial{{"network", "connect to a machine of the network"}, connect_to_the_network},
    Trial{{"service", "connect to a service of this machine"}, connect_to_a_service},
    Trial{{"read-file", "read a file"}, read_a_file},
    Trial{{"write-file", "write a file"}, write_a_file},
    Trial{{"list-processes", "see which processes there are"}, list_the_processes},
    Trial{{"exec", "start a program"}, start_a_program},
    Trial{{"fork", "make another process"}, make_a_process},
    Trial{{"ptrace", "take control of the browser process"}, trace_the_parent},
    Trial{{"read-memory", "read the browser process's memory"}, read_the_parents_memory},
    Trial{{"signal", "send a signal to the browser process"}, signal_the_parent},
    Trial{{"io-uring", "make system calls around the filter"}, use_io_uring},
    Trial{{"make-code", "turn data into code"}, make_code},
};

constexpr auto all_attempts = [] {
  std::array<Attempt, trials.size()> list{};
  std::ranges::transform(trials, list.begin(), &Trial::attempt);
  return list;
}();

std::string errno_name(int number) {
  const char* const name = ::strerrorname_np(number);
  return name ? name : "errno " + std::to_string(number);
}

AttemptResult result_of(const Attempt& attempt, Verdict verdict, std::string how) {
  return {.name = std::string{attempt.name},
          .words = std::string{attempt.words},
          .verdict = verdict,
          .how = std::move(how)};
}

}  // namespace

std::span<const Attempt> attempts() noexcept { return all_attempts; }

void run_attempt(std::string_view name) {
  const auto* found =
      std::ranges::find(trials, name, [](const Trial& t) { return t.attempt.name; });
  if (found == trials.end()) std::_Exit(code_unknown_attempt);
  const bool refused = found->run() == -1;
  std::_Exit(refused ? code_first_errno + errno : code_allowed);
}

AttemptResult judge(const Attempt& attempt, const Exit& exit) {
  if (exit.cause == Exit::Cause::sandbox_violation) {
    return result_of(attempt, Verdict::refused, "ended at: " + exit.detail);
  }
  const bool by_code = exit.cause == Exit::Cause::code;
  if (by_code && (exit.code == code_allowed || exit.code == 0)) {
    return result_of(attempt, Verdict::allowed, "it succeeded");
  }
  if (by_code && exit.code > code_first_errno) {
    return result_of(attempt, Verdict::refused, errno_name(exit.code - code_first_errno));
  }
  return result_of(attempt, Verdict::unclear, "the process ended by " + to_string(exit));
}

Result<std::vector<AttemptResult>> self_test(const SpawnForAttempt& spawn_for) {
  std::vector<AttemptResult> results;
  for (const Attempt& attempt : attempts()) {
    auto process = BULKHEAD_TRY(spawn_for(std::string{attempt.name}));
    const auto exit = process.wait(patience);
    results.push_back(exit ? judge(attempt, *exit)
                           : result_of(attempt, Verdict::unclear, exit.error().sentence()));
  }
  return results;
}

std::string_view to_string(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::refused:
      return "refused";
    case Verdict::allowed:
      return "allowed";
    case Verdict::unclear:
      return "unclear";
  }
  return "unclear";
}

}  // namespace porthole

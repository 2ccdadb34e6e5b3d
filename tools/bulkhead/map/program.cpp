// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/map/program.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace bulkhead::tools::map {
namespace {

struct Pipe {
  Fd read_end;
  Fd write_end;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return fail(Error::from_errno(errno, {.operation = "make", .object = "pipe"}));
  }
  Pipe pipe{Fd::adopt(ends[0]), Fd::adopt(ends[1])};
  // The program's end stays blocking, as programs expect.
  if (::fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
    return fail(Error::from_errno(errno, {.operation = "prepare", .object = "pipe"}));
  }
  return pipe;
}

struct Start {
  const char* path;
  char* const* arguments;
  int input;
  int output;
  int error;
  pid_t parent;
  const sigset_t* mask;
};

/// In the child, which has our memory until it has become the program: nothing that allocates, locks
/// or returns. Returns errno's value where it cannot go on.
[[gnu::noinline]] int become(const Start& start) noexcept {
  // Handlers of ours must not run here; what was ignored when we started stays so (nohup).
  struct sigaction fresh{};
  fresh.sa_handler = SIG_DFL;
  ::sigaction(SIGPIPE, &fresh, nullptr);
  for (const int number : {SIGINT, SIGTERM}) {
    struct sigaction now{};
    if (::sigaction(number, nullptr, &now) == 0 && now.sa_handler != SIG_IGN) {
      ::sigaction(number, &fresh, nullptr);
    }
  }
  if (::setpgid(0, 0) != 0) return errno;
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno;
  if (::getppid() != start.parent) return ESRCH;  // we died before it could be told
  if (::dup2(start.input, STDIN_FILENO) < 0) return errno;
  if (start.output >= 0 && ::dup2(start.output, STDOUT_FILENO) < 0) return errno;
  if (start.error >= 0 && ::dup2(start.error, STDERR_FILENO) < 0) return errno;
  ::sigprocmask(SIG_SETMASK, start.mask, nullptr);
  ::execv(start.path, start.arguments);
  return errno;
}

/// The pid; where it could not become the program, `failure` says why and it is no more.
[[gnu::noinline]] pid_t start_child(const Start& start, volatile int& failure) noexcept {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  const pid_t pid = ::vfork();
#pragma GCC diagnostic pop
  if (pid == 0) {
    failure = become(start);
    ::_exit(127);
  }
  if (pid < 0) failure = errno;
  return pid;
}

std::unexpected<Error> cannot_run(int number, const std::string& path) {
  Error::Details details{.operation = "run", .object = path};
  if (number == E2BIG) {
    details.cause = "its arguments are longer than the kernel takes";
    return fail(ErrorKind::too_large, std::move(details));
  }
  if (number == ENOEXEC) {
    details.cause = "it is no program that this system can run";
    details.remedy = "a script needs a first line such as #!/bin/sh";
    return fail(ErrorKind::unsupported, std::move(details));
  }
  return fail(Error::from_errno(number, std::move(details)));
}

}  // namespace

Result<Program> Program::start(const std::string& path, const std::vector<std::string>& words,
                               FdView input, OutputTo output) {
  Program program;
  Pipe out;
  Pipe err;
  if (output == OutputTo::pipes) {
    out = BULKHEAD_TRY(make_pipe());
    err = BULKHEAD_TRY(make_pipe());
  }
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);

  // No handler of ours may run in the child, so no signal comes until it has its own.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  volatile int failure = 0;
  program.pid_ = start_child({.path = path.c_str(),
                              .arguments = arguments.data(),
                              .input = input.native(),
                              .output = out.write_end.native(),
                              .error = err.write_end.native(),
                              .parent = ::getpid(),
                              .mask = &before},
                             failure);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (program.pid_ < 0) {
    return fail(Error::from_errno(failure, {.operation = "start", .object = "process"}));
  }
  if (failure != 0) return cannot_run(failure, path);  // the Program reaps what is left of it

  // What has begun must not fail for want of a descriptor.
  out.write_end.close();
  err.write_end.close();
  program.pidfd_ = Fd::adopt(static_cast<int>(::syscall(SYS_pidfd_open, program.pid_, 0)));
  if (!program.pidfd_) {
    return fail(Error::from_errno(errno, {.operation = "watch", .object = "process"}));
  }
  program.output_ = std::move(out.read_end);
  program.error_ = std::move(err.read_end);
  return program;
}

Program::Program(Program&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::move(other.pidfd_)),
      output_(std::move(other.output_)),
      error_(std::move(other.error_)) {}

Program::~Program() {
  if (pid_ <= 0) return;
  signal(SIGKILL);
  reap();
}

void Program::signal(int number) noexcept {
  if (pid_ > 0) ::kill(-pid_, number);  // it leads its group until it is reaped
}

Exit Program::reap() noexcept {
  siginfo_t ended{};
  int result = 0;
  do {
    result = ::waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED);
  } while (result != 0 && errno == EINTR);
  pid_ = -1;
  if (result != 0) return Exit::of(Exit::Cause::unknown, "somebody else waited for it");
  if (ended.si_code == CLD_EXITED) return Exit::exited(ended.si_status);
  return Exit::killed(ended.si_status);
}

Result<std::string> find_program(const std::string& name) {
  const auto is_program = [](const std::string& path) { return ::access(path.c_str(), X_OK) == 0; };
  if (name.find('/') != std::string::npos) {
    if (is_program(name)) return name;
    return fail(Error::from_errno(errno, {.operation = "run", .object = name}));
  }
  const char* const path = std::getenv("PATH");
  std::string folders = path == nullptr ? "/bin:/usr/bin" : path;
  for (std::size_t from = 0; from <= folders.size();) {
    const std::size_t to = std::min(folders.find(':', from), folders.size());
    std::string candidate = folders.substr(from, to - from);
    candidate += candidate.empty() ? name : "/" + name;
    if (!name.empty() && is_program(candidate)) {
      // An empty entry is the folder that we are in.
      return candidate.find('/') == std::string::npos ? "./" + candidate : candidate;
    }
    from = to + 1;
  }
  Error::Details details{.operation = "run", .object = name, .cause = "there is no such program"};
  if (name.find(' ') != std::string::npos) {
    details.remedy =
        "no shell reads the command: write its words one by one, without quotes around all";
  }
  return fail(ErrorKind::not_found, std::move(details));
}

}  // namespace bulkhead::tools::map

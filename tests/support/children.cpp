// SPDX-License-Identifier: Apache-2.0
#include "support/children.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace bulkhead::test {
namespace {

[[noreturn]] void stop(const char* what) {
  std::perror(what);
  std::abort();
}

struct Pipe {
  Fd read_end;
  Fd write_end;
};

Pipe make_pipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) stop("pipe2");
  return {Fd::adopt(fds[0]), Fd::adopt(fds[1])};
}

/// Between fork and exec: async-signal-safe calls only, and _exit on failure.
[[noreturn]] void become(const char* path, char* const* arguments, int input, int output, int error,
                         int* inherited, int count, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  // First out of the way of the numbers that they are to get.
  input = fcntl(input, F_DUPFD_CLOEXEC, 100);
  output = fcntl(output, F_DUPFD_CLOEXEC, 100);
  if (error >= 0) error = fcntl(error, F_DUPFD_CLOEXEC, 100);
  for (int i = 0; i < count; ++i) inherited[i] = fcntl(inherited[i], F_DUPFD_CLOEXEC, 100);
  if (dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0) _exit(127);
  if (error >= 0 && dup2(error, STDERR_FILENO) < 0) _exit(127);
  for (int i = 0; i < count; ++i) {
    if (dup2(inherited[i], 3 + i) < 0) _exit(127);
  }
  execv(path, arguments);
  _exit(127);
}

}  // namespace

std::string program_path(const std::string& program) {
  return std::filesystem::read_symlink("/proc/self/exe").replace_filename(program).string();
}

Child Child::start(const std::string& program, const std::vector<std::string>& arguments,
                   const std::vector<FdView>& inherited, FdView error) {
  std::string path = program_path(program);
  if (access(path.c_str(), X_OK) != 0) stop(path.c_str());
  std::vector<char*> argv{path.data()};
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::vector<int> fds;
  for (FdView fd : inherited) fds.push_back(fd.native());

  Pipe input = make_pipe();
  Pipe output = make_pipe();
  pid_t parent = getpid();
  Child child;
  child.pid_ = fork();
  if (child.pid_ < 0) stop("fork");
  if (child.pid_ == 0) {
    become(path.c_str(), argv.data(), input.read_end.native(), output.write_end.native(),
           error.native(), fds.data(), static_cast<int>(fds.size()), parent);
  }
  child.input_ = std::move(input.write_end);
  child.output_ = std::move(output.read_end);
  return child;
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      status_(other.status_),
      reaped_(other.reaped_),
      input_(std::move(other.input_)),
      output_(std::move(other.output_)) {}

Child& Child::operator=(Child&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(status_, other.status_);
  std::swap(reaped_, other.reaped_);
  std::swap(input_, other.input_);
  std::swap(output_, other.output_);
  return *this;
}

Child::~Child() {
  if (pid_ < 0 || reaped_) return;
  kill(SIGKILL);
  wait();
}

bool Child::write(std::string_view text) {
  while (!text.empty()) {
    // A dead child is an answer, not a SIGPIPE: the signal stays blocked around the call.
    sigset_t pipe_signal;
    sigset_t before;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    ssize_t written = ::write(input_.native(), text.data(), text.size());
    int error = errno;
    if (written < 0 && error == EPIPE) {
      timespec none{};
      sigtimedwait(&pipe_signal, nullptr, &none);
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (written < 0 && error == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

std::string Child::read_line() {
  std::string line;
  for (;;) {
    char next = 0;
    ssize_t count = ::read(output_.native(), &next, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || next == '\n') return line;
    line += next;
  }
}

std::string Child::read_all() {
  std::string text;
  char buffer[4096];
  for (;;) {
    ssize_t count = ::read(output_.native(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
  }
}

void Child::kill(int signal) {
  if (!reaped_) ::kill(pid_, signal);
}

int Child::wait() {
  while (!reaped_) {
    if (waitpid(pid_, &status_, 0) == pid_)
      reaped_ = true;
    else if (errno != EINTR)
      stop("waitpid");
  }
  return status_;
}

}  // namespace bulkhead::test

// SPDX-License-Identifier: Apache-2.0
#include "os/pidfd.hpp"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/kernel.hpp"
#include "os/poll.hpp"
#include "os/syscall.hpp"

namespace bulkhead::os {
namespace {

// __WALL: until its exec a child of ours has no exit signal, which makes it a "clone" child. With
// exec the kernel gives it SIGCHLD again (de_thread in fs/exec.c), so a waitpid(-1) of the host can
// reap it; there is no way around that.
int wait_now(FdView pidfd, int options, siginfo_t& info) {
  info = {};
  return retry_eintr([&] {
    return ::waitid(P_PIDFD, static_cast<id_t>(pidfd.native()), &info, options | WNOHANG | __WALL);
  });
}

bool has_ended(FdView pidfd) {
  const auto events = poll_one(pidfd, POLLIN, no_wait);
  return events && *events != 0;
}

Ending from_status(int status) {
  if (WIFSIGNALED(status)) return {Ending::Kind::signalled, WTERMSIG(status)};
  return {Ending::Kind::exited, WEXITSTATUS(status)};
}

Ending of_a_reaped(FdView pidfd) {
  kernel::PidfdInfo info{};
  info.mask = kernel::pidfd_info_exit;
  const int told = ::ioctl(pidfd.native(), kernel::pidfd_get_info, &info);
  if (told != 0 || (info.mask & kernel::pidfd_info_exit) == 0) return {};
  return from_status(info.exit_code);
}

}  // namespace

std::optional<Ending> ending(FdView pidfd) {
  siginfo_t info{};
  if (wait_now(pidfd, WEXITED | WNOWAIT, info) == 0) {
    if (info.si_pid == 0) return std::nullopt;
    const bool exited = info.si_code == CLD_EXITED;
    return Ending{exited ? Ending::Kind::exited : Ending::Kind::signalled, info.si_status};
  }
  if (!has_ended(pidfd)) return std::nullopt;
  return of_a_reaped(pidfd);
}

void reap(FdView pidfd) {
  siginfo_t info{};
  wait_now(pidfd, WEXITED, info);
}

Result<void> send_signal(FdView pidfd, int signal) {
  // glibc 2.36 declares pidfd_send_signal without C linkage.
  if (::syscall(SYS_pidfd_send_signal, pidfd.native(), signal, nullptr, 0) != 0) {
    return failed("signal", "process");
  }
  return {};
}

}  // namespace bulkhead::os
